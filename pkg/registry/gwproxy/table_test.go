// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Client Cluster,Client NS,Client Name,Public Address,Service Group,Service Prefix,Tunnels,Envoys,Programmed,Ready,Age|Alt Address,Ports,Replicas,Listeners,Routes,EPIC Nodes,Interfaces"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[0a c n g 2001:db8::2 sample - 0 - - -]"
	if got := fmt.Sprint(cells[:11]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
