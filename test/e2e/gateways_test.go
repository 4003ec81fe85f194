// SPDX-License-Identifier: Apache-2.0

//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGateways has several gateway nodes, whose router spreads visitors over them. Nodes are
// drained, lost and replaced while visitors come, and each request has to be answered by the
// pod of the tenant whose address it is for. It is a target of its own, because the controller
// takes minutes to evict a node.
func TestGateways(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	f := newFleet(t, c, "nodegw1", "nodegw2", "nodegw3")
	f.evictSoon(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"spread", f.testSpread},
		{"the node program is replaced", f.testProgramReplaced},
		{"drained", f.testDrained},
		{"replaced", f.testNodeReplaced},
		{"lost", f.testNodeLost},
		{"evicted, and back", f.testNodeEvicted},
		{"lost permanently", f.testNodeDeleted},
		{"one Envoy again", f.testScaledDown},
	} {
		// Each needs what the one before has left.
		if !t.Run(step.name, step.run) {
			return
		}
	}
	c.audited(t)
}

// Envoys that are added run on other nodes, and each node announces its addresses.
func (f *fleet) testSpread(t *testing.T) {
	for _, s := range f.services {
		eventually(t, time.Minute, func() string {
			if paths := f.router.paths(s.address); len(paths) != 1 {
				return fmt.Sprintf("the paths of %s are %v: want one", s.address, paths)
			}
			if _, err := request(s, ""); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	f.during(t, func(t *testing.T) {
		begin := time.Now()
		f.scale(t, 3)
		f.paths(t, 2*time.Minute, f.gateways...)
		t.Logf("All nodes announced all addresses after %s", time.Since(begin).Round(time.Second))
		for _, node := range f.gateways {
			f.carries(t, node)
		}
	}, strict)
	for _, s := range f.services {
		if on := f.on(t, s); !slices.Equal(on, f.gateways) {
			t.Errorf("The Envoys of %s run on %v", s.server, on)
		}
		eventually(t, 10*time.Second, func() string {
			if out := f.run(t, "get", "-n", s.namespace, shopLB); !strings.Contains(out, "3/3") {
				return out
			}
			return ""
		})
	}
}

// The router keeps the node's routes while its program restarts.
func (f *fleet) testProgramReplaced(t *testing.T) {
	node := f.gateways[0]
	f.during(t, func(t *testing.T) {
		begin, before := time.Now(), f.program(t, node)
		f.run(t, "delete", "pod", "-n", "epic-node", before)
		eventually(t, time.Minute, func() string {
			if now := f.program(t, node); now == "" || strings.Contains(now, before) {
				return "the pods are " + now
			}
			return ""
		})
		f.run(t, "wait", "--for=condition=Ready", "-n", "epic-node", "--timeout=1m", "pod/"+f.program(t, node))
		t.Logf("The node program was back after %s", time.Since(begin).Round(time.Second))
		// As long as peers wait for the routes of a program that starts, and longer.
		time.Sleep(10 * time.Second)
		for _, change := range f.router.since(begin) {
			t.Errorf("The paths of %s were changed from %v to %v", change.address, change.before, change.after)
		}
		f.carries(t, node)
	}, strict)
}

// A node that is drained gets no more visitors before its Envoys end.
func (f *fleet) testDrained(t *testing.T) {
	node := f.gateways[1]
	begin := time.Now()
	f.during(t, func(t *testing.T) {
		f.drain(t, node)
		f.paths(t, 30*time.Second, slices.DeleteFunc(slices.Clone(f.gateways), func(n string) bool { return n == node })...)
	}, f.router.moved(begin))
	f.during(t, func(t *testing.T) {
		begin := time.Now()
		f.run(t, "uncordon", node)
		f.paths(t, 2*time.Minute, f.gateways...)
		t.Logf("The node announced its addresses %s after kubectl uncordon", time.Since(begin).Round(time.Second))
		f.carries(t, node)
	}, strict)
}

// drain drains a node as it is documented. Connections that are on other nodes stay open.
func (f *fleet) drain(t *testing.T, node string) {
	t.Helper()
	// Those to the node itself would keep its Envoy for minutes.
	held := f.hold(t, f.services[0], 24, f.joined[node])
	begin := time.Now()
	f.run(t, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=5m")
	t.Logf("kubectl drain took %s", time.Since(begin).Round(time.Second))
	if broken, all := held.end(t); len(broken) > 0 || len(all) < 2 {
		t.Errorf("connections broke to nodes that were not drained: %v of %v", broken, all)
	}
}

// A node is replaced by another one, as docs/install.md describes it.
func (f *fleet) testNodeReplaced(t *testing.T) {
	const node = "nodegw4"
	old := f.gateways[1]
	address := f.joined[old]
	begin := time.Now()
	f.during(t, func(t *testing.T) {
		f.join(t, node)
		f.run(t, "label", "--overwrite", "node", node, "epic.acnodal.io/gateway=true")
		f.gateways = append(f.gateways, node)
		eventually(t, 2*time.Minute, func() string {
			heartbeat, err := f.try("", "get", "gatewaynodes", "-n", "epic", f.joined[node], "--output=jsonpath={.status.heartbeat-time}")
			if err != nil || heartbeat == "" {
				return fmt.Sprintf("%v: %s", err, heartbeat)
			}
			return ""
		})
		f.drain(t, old)
		f.run(t, "label", "node", old, "epic.acnodal.io/gateway-")
		f.run(t, "wait", "pod", "-n", "epic-node", "--for=delete", "--timeout=2m", "--field-selector", "spec.nodeName="+old)
		f.run(t, "delete", "node", old)
		f.run(t, "delete", "gatewaynode", "-n", "epic", address)
		f.leave(t, old)
		f.router.dropPeer(address)
		f.paths(t, 2*time.Minute, f.gateways...)
		t.Logf("The new node announced its addresses %s after it began to join", time.Since(begin).Round(time.Second))
		f.carries(t, node)
	}, f.router.moved(begin))
	for _, s := range f.services {
		if on := f.on(t, s); !slices.Equal(on, f.gateways) {
			t.Errorf("The Envoys of %s run on %v", s.server, on)
		}
	}
	eventually(t, 30*time.Second, func() string { return strings.Join(f.named(t, old, address), "\n") })
}

// A node that is lost takes its own connections with it, and no others. As soon as its router
// notices that, by BFD, visitors are served by the other nodes.
func (f *fleet) testNodeLost(t *testing.T) {
	node := f.gateways[1]
	address := f.joined[node]
	held := f.hold(t, f.services[0], 30, "")
	begin := time.Now()
	f.during(t, func(t *testing.T) {
		begin = f.crash(t, node)
		for _, change := range f.router.since(begin) {
			took := change.done.Sub(begin)
			t.Logf("The router had removed the node's path to %s %s after the loss", change.address, took.Round(time.Millisecond))
			// What the script takes until the link is cut is a part of it.
			if limit := bfdMilliseconds*bfdMultiply*time.Millisecond + time.Second; took > limit {
				t.Errorf("the router took %s to notice that the node is lost, and not %s", took, limit)
			}
		}
		// Those that wait for an answer of the node that was lost have given up then.
		time.Sleep(patience)
		broken, all := held.end(t)
		if len(all) != 3 || len(broken) != 1 || broken[address] != all[address] {
			t.Errorf("connections broke: %v of %v, and only those to %s should have", broken, all, address)
		}
	}, func(failed failure) bool { return f.lost(failed, begin) })
}

// crash crashes a gateway node, waits until the router has removed its paths, and returns when it
// began.
func (f *fleet) crash(t *testing.T, node string) time.Time {
	t.Helper()
	time.Sleep(2 * time.Second)
	begin := time.Now()
	clusterScript(t, "crash", node)
	f.gateways = slices.DeleteFunc(f.gateways, func(n string) bool { return n == node })
	f.paths(t, 10*time.Second, f.gateways...)
	return begin
}

// lost allows that a request fails which began before the router noticed that a node was lost,
// if the visitor is served when they ask again.
func (f *fleet) lost(failed failure, begin time.Time) bool {
	if failed.wrong() || failed.again != nil || failed.ended.Before(begin) {
		return false
	}
	return slices.ContainsFunc(f.router.since(begin), func(c pathChange) bool {
		return c.address == netip.MustParseAddr(failed.service.address) && c.removed() && failed.began.Before(c.done)
	})
}

// evictSoon has the controller evict nodes as soon as it can.
func (f *fleet) evictSoon(t *testing.T) {
	t.Helper()
	const args = "/spec/template/spec/containers/0/args"
	shipped := f.run(t, "get", "deployment", "epic-controller", "-n", system, "--output=jsonpath={.spec.template.spec.containers[0].args}")
	patch := func(operation string) {
		f.run(t, "patch", "deployment", "epic-controller", "-n", system, "--type=json", "-p", "["+operation+"]")
		f.run(t, "rollout", "status", "deployment/epic-controller", "-n", system, "--timeout=3m")
	}
	patch(fmt.Sprintf(`{"op":"add","path":"%s/-","value":"--node-timeout=5m"}`, args))
	t.Cleanup(func() { patch(fmt.Sprintf(`{"op":"replace","path":%q,"value":%s}`, args, shipped)) })
}

// A node that stays away is evicted: the EPIC object's conditions and events name it, and nothing
// else does. When it is back, it serves as before.
func (f *fleet) testNodeEvicted(t *testing.T) {
	var node string
	for name := range f.joined {
		if !slices.Contains(f.gateways, name) {
			node = name
		}
	}
	address, begin := f.joined[node], time.Now()
	f.during(t, func(t *testing.T) {
		eventually(t, 5*time.Minute, func() string {
			if nodes := f.nodesReady(t); !strings.HasPrefix(nodes, "False") || !strings.Contains(nodes, address) {
				return "NodesReady is " + nodes
			}
			return ""
		})
		t.Logf("NodesReady named the node after %s", time.Since(begin).Round(time.Second))
		eventually(t, 8*time.Minute, func() string {
			events := f.run(t, "get", "events", "-n", "epic", "--field-selector=reason=NodeEvicted", "--output=jsonpath={.items[*].message}")
			if !strings.Contains(events, "gateway node "+address+",") {
				return "the events are " + events
			}
			return ""
		})
		t.Logf("The node was evicted after %s", time.Since(begin).Round(time.Second))
		eventually(t, time.Minute, func() string { return strings.Join(f.named(t, node, address), "\n") })
		if nodes := f.nodesReady(t); !strings.HasPrefix(nodes, "True") {
			t.Errorf("Without the node, NodesReady is %s", nodes)
		}

		begin := time.Now()
		clusterScript(t, "boot", node)
		f.gateways = append(f.gateways, node)
		f.paths(t, 4*time.Minute, f.gateways...)
		t.Logf("The node announced its addresses %s after its start", time.Since(begin).Round(time.Second))
		f.carries(t, node)
		eventually(t, time.Minute, func() string {
			if nodes := f.nodesReady(t); !strings.HasPrefix(nodes, "True") {
				return "NodesReady is " + nodes
			}
			return ""
		})
	}, strict)
}

// nodesReady is the EPIC object's condition.
func (f *fleet) nodesReady(t *testing.T) string {
	t.Helper()
	return f.run(t, "get", "epics.epic.acnodal.io", "epic", "-n", "epic",
		`--output=jsonpath={.status.conditions[?(@.type=="NodesReady")].status}: {.status.conditions[?(@.type=="NodesReady")].message}`)
}

// A node that is lost permanently is deleted as docs/install.md describes it, and nothing names it
// any longer.
func (f *fleet) testNodeDeleted(t *testing.T) {
	node := f.gateways[1]
	address := f.joined[node]
	begin := time.Now()
	f.during(t, func(t *testing.T) {
		begin = f.crash(t, node)
		deleted := time.Now()
		f.run(t, "delete", "node", node)
		f.run(t, "delete", "gatewaynode", "-n", "epic", address)
		// Kubernetes waits between 40 and 60 seconds before it deletes the pods of a deleted node.
		eventually(t, 2*time.Minute, func() string { return strings.Join(f.named(t, node, address), "\n") })
		t.Logf("No object named the node %s after it was deleted", time.Since(deleted).Round(time.Second))
		f.leave(t, node)
		f.router.dropPeer(address)
		for _, on := range f.gateways {
			f.carries(t, on)
		}
	}, func(failed failure) bool { return f.lost(failed, begin) })
}

// Envoys that are removed hand their visitors over to the last one.
func (f *fleet) testScaledDown(t *testing.T) {
	begin := time.Now()
	f.during(t, func(t *testing.T) {
		f.scale(t, 1)
		for _, s := range f.services {
			eventually(t, time.Minute, func() string {
				if paths := f.router.paths(s.address); len(paths) != 1 {
					return fmt.Sprintf("the paths of %s are %v: want one", s.address, paths)
				}
				return ""
			})
		}
		t.Logf("One path was left after %s", time.Since(begin).Round(time.Second))
		time.Sleep(5 * time.Second)
	}, f.router.moved(begin))
}
