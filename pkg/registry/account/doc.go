// SPDX-License-Identifier: Apache-2.0

// Package account stores accounts, which are the tenants.
package account
