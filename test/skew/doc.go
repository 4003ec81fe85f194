// SPDX-License-Identifier: Apache-2.0

// Package skew runs two versions of EPIC's programs together: a small Internet with a gateway
// node, a client node behind NAT, a client cluster with a real kube-apiserver and a connector,
// and real Envoys. Visitors ask all the time while one program after the other is replaced by its
// other version. No request may fail or be answered wrongly, and after each step a change of an
// endpoint and a new load balancer have to take effect, and EPIC has to have what the client
// cluster says. hack/skew.sh builds the programs and runs it, as root. The build tag keeps it out
// of make test.
package skew
