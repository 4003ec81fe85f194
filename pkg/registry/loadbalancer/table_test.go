// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	obj := completed()
	obj.Status.Conditions = append(kindtest.Ready(), metav1.Condition{Type: "Programmed", Status: metav1.ConditionFalse})
	obj.Status.Envoy = &epic.EnvoyStatus{Replicas: 3, ReadyReplicas: 2}
	columns, cells := s.Row(obj)
	if want := "Name,Public Address,Service Group,Service Prefix,Tunnels,Envoys,Programmed,Ready,Age|Ports,Service ID,Replicas,Clusters,EPIC Nodes,Interfaces"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	if got, want := fmt.Sprint(cells[:8]), "[sample-acnodal 192.168.77.2 sample default 1 2/3 False True]"; got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(cells[9:]), "[8888/TCP 1 2 - 192.168.1.40 -]"; got != want {
		t.Errorf("wide cells %s, want %s", got, want)
	}
	obj.Status.Conditions, obj.Status.Envoy = nil, nil
	if _, cells = s.Row(obj); fmt.Sprint(cells[5:8]) != "[- - -]" {
		t.Errorf("nothing is known: %v", cells[5:8])
	}
}
