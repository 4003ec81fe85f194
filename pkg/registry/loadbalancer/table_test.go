// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	obj := completed()
	obj.Status.Conditions = kindtest.Ready()
	columns, cells := s.Row(obj)
	if want := "Name,Public Address,Service Group,Service Prefix,Tunnels,Ready,Age|Ports,Service ID,Replicas,Clusters,EPIC Nodes,Interfaces"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	if got, want := fmt.Sprint(cells[:6]), "[sample-acnodal 192.168.77.2 sample default 1 True]"; got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(cells[7:]), "[8888/TCP 1 2 - 192.168.1.40 -]"; got != want {
		t.Errorf("wide cells %s, want %s", got, want)
	}
	obj.Status.Conditions = nil
	if _, cells = s.Row(obj); cells[5] != "-" {
		t.Errorf("readiness unknown: %v", cells[5])
	}
}
