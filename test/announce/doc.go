// SPDX-License-Identifier: Apache-2.0

// Package announce tests how gateway nodes announce public addresses, against the routing
// daemons of Debian (BIRD and FRR) and real hosts in network namespaces.
package announce
