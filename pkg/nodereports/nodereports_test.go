// SPDX-License-Identifier: Apache-2.0

package nodereports

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestMerge(t *testing.T) {
	entry := func(at int64) epicv1.EPICNodeStatus {
		return epicv1.EPICNodeStatus{Name: "entry", HeartbeatTime: metav1.Unix(at, 0)}
	}
	node := func(name string, at int64) *epicv1.GatewayNode {
		return &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: name}, Status: epicv1.GatewayNodeStatus{
			NodeName: "object", Version: "v1", HeartbeatTime: metav1.Unix(at, 0), Tunnels: 3, TunnelsUp: 2, Conditions: []metav1.Condition{{Type: "Ready"}},
		}}
	}
	installation := &epicv1.EPIC{Status: epicv1.EPICStatus{Nodes: map[string]epicv1.EPICNodeStatus{
		"192.0.2.1": entry(10), "192.0.2.2": entry(10), "192.0.2.3": entry(10), "192.0.2.4": entry(10),
	}}}
	// The first was upgraded, the second went back to an earlier release, and the last
	// has only an object.
	nodes := []*epicv1.GatewayNode{node("192.0.2.1", 20), node("192.0.2.2", 5), node("192.0.2.4", 10), node("2001-db8--5", 0), node("gw", 30)}
	all := Merge(installation, nodes)
	got := ""
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8::5"} {
		got += fmt.Sprint(address, " ", all[address].Name, "; ")
	}
	if want := "192.0.2.1 object; 192.0.2.2 entry; 192.0.2.3 entry; 192.0.2.4 object; 2001:db8::5 object; "; got != want || len(all) != 5 {
		t.Errorf("%s, want %s", got, want)
	}
	if n := all["192.0.2.1"]; n.Version != "v1" || n.Tunnels != 3 || n.TunnelsUp != 2 || len(n.Conditions) != 1 || n.HeartbeatTime.Unix() != 20 {
		t.Errorf("%+v", n)
	}
	if len(installation.Status.Nodes) != 4 {
		t.Error("the EPIC object was changed")
	}
	if got := fmt.Sprint(Replaced(installation, nodes)); got != "[192.0.2.1]" {
		t.Errorf("replaced: %s", got)
	}
	if got := Merge(nil, nodes[:1]); len(got) != 1 {
		t.Errorf("without an EPIC object: %v", got)
	}
}
