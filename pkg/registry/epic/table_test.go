// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"fmt"
	"testing"

	"k8s.io/utils/ptr"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Last Tunnel ID,Last Group ID,Nodes,Ready,Age|Service CIDR,NICs,Envoy Image"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[epic 0 0 0 -]"
	if got := fmt.Sprint(cells[:5]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	// Until the controller has counted the nodes, those of earlier releases count.
	o := sample()
	o.Status.Nodes = map[string]epicapi.EPICNodeStatus{"192.0.2.1": {}, "192.0.2.2": {}}
	if _, cells = s.Row(o); fmt.Sprint(cells[3]) != "2" {
		t.Errorf("%v nodes of earlier releases, want 2", cells[3])
	}
	o.Status.GatewayNodes = ptr.To[int32](5)
	if _, cells = s.Row(o); fmt.Sprint(cells[3]) != "5" {
		t.Errorf("%v nodes, want 5", cells[3])
	}
}
