// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// BenchmarkOtherTraffic compares the traffic of a gateway node and a client node that is in no
// tunnel, with the data plane attached and without, in turns and in every setting of the
// interfaces' offloads, and prints the ratios. It measures once, whatever b.N is.
func BenchmarkOtherTraffic(b *testing.B) {
	const rounds, length = 7, 700 * time.Millisecond
	for _, segments := range []bool{true, false} {
		for _, merges := range []bool{true, false} {
			worlds := map[string]*world{}
			for _, way := range []string{wayRaw, wayOurs} {
				w := newWorld(b, 1500)
				w.open()
				for _, n := range []*netlab.Namespace{w.gateway, w.node} {
					must(b, errors.Join(n.SetOffload("eth0", segments, netlab.TSO, netlab.GSO), n.SetOffload("eth0", merges, netlab.GRO)))
				}
				if way == wayOurs {
					w.connect(false)
				}
				worlds[way] = w
			}
			for _, fromNode := range []bool{false, true} {
				name := fmt.Sprintf("TSO and GSO %s, GRO %s, %s", onOff(segments), onOff(merges), either(fromNode, "client to gateway", "gateway to client"))
				b.Run(name, func(b *testing.B) {
					rates := map[string][]float64{}
					for range rounds {
						for way, w := range worlds {
							rate, err := streamBetween(w.gateway, w.node, nodeAddress[false], length, fromNode)
							must(b, err)
							rates[way] = append(rates[way], rate)
						}
					}
					raw, ours := median(rates[wayRaw]), median(rates[wayOurs])
					b.Logf("without %.2f Gbit/s, with %.2f, ratio %.2f", raw*8/1e9, ours*8/1e9, ours/raw)
					b.ReportMetric(ours/raw, "attached/raw")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

func onOff(on bool) string { return either(on, "on", "off") }
