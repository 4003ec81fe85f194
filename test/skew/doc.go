// SPDX-License-Identifier: Apache-2.0

// Package skew runs two versions of EPIC's programs together: a small Internet with a gateway
// node, a client node behind NAT and real Envoys, whose visitors ask all the time while one
// program after the other is replaced by its other version. No request may fail, and after each
// step a change of an endpoint and a new load balancer have to take effect. hack/skew.sh builds
// the programs and runs it, as root. The build tag keeps it out of make test.
package skew
