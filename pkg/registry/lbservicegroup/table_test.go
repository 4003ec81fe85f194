// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	group := sample()
	group.Spec.EdgeOverrides = []epic.EdgePart{epic.EdgeAccessLog, epic.EdgeHTTP3}
	columns, cells := s.Row(group)
	if want := "Name,Service Prefix,Replicas,Shared,Ready,Age|Account,DNS Name,Envoy Image,Edge Overrides"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[sample default 1 false -]"
	if got := fmt.Sprint(cells[:5]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	if got := fmt.Sprint(cells[len(cells)-1]); got != "AccessLog,HTTP3" {
		t.Errorf("overrides %s", got)
	}
}
