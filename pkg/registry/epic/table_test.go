// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"fmt"
	"testing"

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
}
