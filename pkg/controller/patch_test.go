// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// TestStatusPatch checks that a patch has what differs, names the version that it
// is for, and has nothing of what others write.
func TestStatusPatch(t *testing.T) {
	m := &metav1.ObjectMeta{UID: "u", ResourceVersion: "7"}
	tunnel := func(nodes ...string) epicv1.TunnelEndpoint {
		e := epicv1.TunnelEndpoint{EPICAddress: nodes[0], EPICPort: epicv1.EndpointPort{Port: 6080}, EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{}}
		for _, node := range nodes {
			e.EPICEndpoints[node] = epicv1.GUETunnelEndpoint{EPICAddress: node, EPICPort: epicv1.EndpointPort{Port: 6080}}
		}
		return e
	}
	status := func(tunnels map[string]epicv1.TunnelEndpoint) *epicv1.ProxyStatus {
		return &epicv1.ProxyStatus{GUETunnelEndpoints: tunnels, ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{"p": {Index: 7}}, ProxyIfIndex: 7, QuotaPlace: 3}
	}
	type tunnels = map[string]epicv1.TunnelEndpoint
	const head = `{"metadata":{"resourceVersion":"7","uid":"u"},"status":`
	for name, c := range map[string]struct {
		from, to tunnels
		want     string
	}{
		"equal": {tunnels{"n": tunnel("e")}, tunnels{"n": tunnel("e")}, ``},
		"a node goes": {
			tunnels{"n": tunnel("e"), "m": tunnel("e")}, tunnels{"n": tunnel("e")},
			head + `{"gue-tunnel-endpoints":{"m":null}}}`,
		},
		"all go": {tunnels{"n": tunnel("e")}, nil, head + `{"gue-tunnel-endpoints":null}}`},
		"a pair goes": {
			tunnels{"n": tunnel("e", "f")}, tunnels{"n": tunnel("e")},
			head + `{"gue-tunnel-endpoints":{"n":{"epic-endpoints":{"f":null}}}}}`,
		},
		"a pair comes, without an ID": {
			tunnels{"n": tunnel("e")}, tunnels{"n": tunnel("e", "f")},
			head + `{"gue-tunnel-endpoints":{"n":{"epic-endpoints":{"f":{"epic-address":"f","epic-port":{"port":6080}}}}}}}`,
		},
	} {
		data, err := statusPatch(m, status(c.from), status(c.to))
		if err != nil || string(data) != c.want {
			t.Errorf("%s: got %s, %v; want %s", name, data, err, c.want)
		}
		if data != nil && !json.Valid(data) {
			t.Errorf("%s: %s is no JSON", name, data)
		}
	}
}
