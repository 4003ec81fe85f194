// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Service Prefix,Replicas,Shared,Ready,Age|Account,DNS Name,Envoy Image"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[sample default 1 false -]"
	if got := fmt.Sprint(cells[:5]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
