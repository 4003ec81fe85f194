// SPDX-License-Identifier: Apache-2.0

package account

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Group ID,Proxy Limit,Ready,Age|Last Service ID"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[root 0 20 -]"
	if got := fmt.Sprint(cells[:4]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
