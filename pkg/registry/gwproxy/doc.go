// SPDX-License-Identifier: Apache-2.0

// Package gwproxy stores gateway proxies.
package gwproxy
