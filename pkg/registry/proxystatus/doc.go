// SPDX-License-Identifier: Apache-2.0

// Package proxystatus has what load balancers and gateway proxies have in
// common: the tunnels and interfaces in their status, in the shape in which
// they are kept, selected and shown.
package proxystatus
