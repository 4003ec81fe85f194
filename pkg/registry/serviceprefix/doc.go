// SPDX-License-Identifier: Apache-2.0

// Package serviceprefix stores service prefixes, the pools of public addresses.
package serviceprefix
