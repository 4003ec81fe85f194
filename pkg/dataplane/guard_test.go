// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net"
	"testing"

	"github.com/acnodal/epic/bpf"
)

// While somebody has removed the program that puts answers into tunnels, a client node drops
// them. Other packets pass, and a repair restores what is missing.
func TestGuard(t *testing.T) {
	for _, hook := range []Hook{HookTCX, HookClsact} {
		t.Run(string(hook), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.nodeOptions.Hook = hook
			w.open()
			w.connect(false)
			key := bpf.KernelAttachmentKey{Ifindex: uint32(index(t, w.node, "eth0")), Hook: bpf.KernelHookHOOK_UNDERLAY_EGRESS}
			for _, v6 := range []bool{false, true} {
				proxy, pod := w.datagrams(v6, 0)
				if !receives(t, proxy, pod) || !receives(t, pod, proxy) {
					t.Fatalf("nothing arrives; dropped:%s", w.drops())
				}
				answer, visit := []byte("<an endpoint's answer>"), []byte("<a pod's visit>")
				answers, visits := w.bare("node", "eth0", answer), w.bare("node", "eth0", visit)
				before := dropsOf(t, w.nodeSide, DropBypassed)
				must(t, w.node.Do(func() error {
					if hook == HookClsact {
						return deleteFilter(key)
					}
					return w.nodeSide.attacher.links[key].(interface{ Detach() error }).Detach()
				}))
				other, err := w.pod.Dial(t.Context(), "udp", port(proxyAddress[v6], 7777).String())
				must(t, err)
				const times = 10
				for range times {
					_, err := pod.Write(answer)
					must(t, err)
					// An ICMP error about the visit is none of this test.
					if _, err := other.Write(visit); err != nil && !isRefused(err) {
						t.Fatal(err)
					}
				}
				must(t, other.Close())
				if n := answers(); n > 0 {
					t.Errorf("%s: %d of %d answers left outside the tunnel", family(v6), n, times)
				}
				if n := visits(); n == 0 {
					t.Errorf("%s: no visit left", family(v6))
				}
				if n := dropsOf(t, w.nodeSide, DropBypassed) - before; n != times {
					t.Errorf("%s: %d of %d answers are counted as dropped:%s", family(v6), n, times, w.drops())
				}
				repaired := 0
				must(t, w.node.Do(func() (err error) { repaired, err = w.nodeSide.Repair(); return err }))
				if repaired != 1 {
					t.Errorf("%d things were repaired, want 1", repaired)
				}
				if !receives(t, pod, proxy) {
					t.Errorf("%s: after a repair no answer arrives; dropped:%s", family(v6), w.drops())
				}
			}
			attached := func(when string, want bool) {
				t.Helper()
				must(t, w.node.Do(func() error {
					if w.nodeSide.attacher.guard.attached(key) != want {
						t.Errorf("%s: the guard is attached: %t", when, !want)
					}
					return nil
				}))
			}
			attached("at first", true)
			must(t, w.node.Do(func() error { return deleteFilter(guardKey(key)) }))
			attached("removed", false)
			repaired := 0
			must(t, w.node.Do(func() (err error) { repaired, err = w.nodeSide.Repair(); return err }))
			if repaired != 1 {
				t.Errorf("%d things were repaired, want 1", repaired)
			}
			attached("repaired", true)
			must(t, w.nodeSide.Close())
			must(t, w.node.Do(func() (err error) { w.nodeSide, err = Open(w.nodeOptions); return err }))
			attached("after a restart", true)
		})
	}
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}
