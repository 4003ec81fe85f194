// SPDX-License-Identifier: Apache-2.0

// Package proxy has the rules that load balancers and gateway proxies share: both run
// Envoy proxies of a service group on a public address, count toward their account's
// limit, and have tunnels. Rules of only one kind are in its own package.
package proxy
