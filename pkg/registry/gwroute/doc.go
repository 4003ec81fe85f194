// SPDX-License-Identifier: Apache-2.0

// Package gwroute stores the routes of gateway proxies.
package gwroute
