// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Client Cluster,Client NS,Client Name,Type,Programmed,Ready,Age|Parents,Hostnames,Rules"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[a c n r HTTP,TCP - -]"
	if got := fmt.Sprint(cells[:7]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
