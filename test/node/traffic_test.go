// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Ports of the tenant's pod.
const (
	webPort  = 8080
	echoPort = 9000
	// closedPort is an endpoint's at which nothing listens.
	closedPort = 9999
)

// All kinds of traffic, of both families, in tunnels of both families. The parts share
// a site, and each leaves it as it found it.
func TestTraffic(t *testing.T) {
	for _, over := range []struct {
		name string
		outer
	}{{"IPv4 outside", outer4}, {"IPv6 outside", outer6}} {
		t.Run(over.name, func(t *testing.T) {
			s := newSiteOver(t, 1, over.outer)
			s.podServes(0, webPort, account(0))
			s.podServes(0, tcpPort, account(0))
			s.podEchoes(0, echoPort)
			services := []*service{s.serviceOf(group4, 0, "four", webPort), s.serviceOf(group6, 0, "six", webPort)}
			for _, v := range services {
				v.endpoint("echo", echoPort, corev1.ProtocolTCP)
				v.endpoint("datagrams", echoPort, corev1.ProtocolUDP)
				v.endpoint("closed", closedPort, corev1.ProtocolTCP)
				v.endpoint("unread", closedPort, corev1.ProtocolUDP)
			}
			for _, v := range services {
				v.answers(account(0))
			}
			part := func(name string, run func(t *testing.T)) { s.part(t, name, run) }
			each := func(name string, run func(t *testing.T, v *service)) {
				for _, v := range services {
					part(name+" "+v.name, func(t *testing.T) { run(t, v) })
				}
			}
			part("gateway proxy", func(t *testing.T) { gatewayProxyFlows(t, s) })
			each("bulk", bulk)
			each("bulk as on a wire", bulkWithoutOffloads)
			each("datagrams", datagrams)
			each("ping", ping)
			each("refused", refused)
			each("narrow way", narrowWay)
			each("lossy way", lossyWay)
			each("disordered way", disorderedWay)
		})
	}
}
