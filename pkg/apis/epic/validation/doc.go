// SPDX-License-Identifier: Apache-2.0

// Package validation contains the rules for EPIC's objects that only depend on the object
// and, for updates, on its previous version. Rules that depend on other objects, for
// example that a group exists or an address is free, are implemented with the claims.
//
// A message names the rule and the fix; the field and its value precede it. Everything
// that a tenant can make long has a limit, and values quoted from a request are truncated.
package validation
