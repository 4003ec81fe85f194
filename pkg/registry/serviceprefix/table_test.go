// SPDX-License-Identifier: Apache-2.0

package serviceprefix

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Public Pool,Alt Pool,Ready,Age|Subnet,Aggregation,Bridge,Alt Subnet"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[default 192.168.77.0/29 - -]"
	if got := fmt.Sprint(cells[:4]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
