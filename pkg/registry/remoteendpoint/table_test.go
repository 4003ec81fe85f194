// SPDX-License-Identifier: Apache-2.0

package remoteendpoint

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Address,Node Address,Port,Protocol,Load Balancer,Ready,Age|Cluster"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	want := "[a 10.42.0.7 192.168.1.16 8080 TCP lb -]"
	if got := fmt.Sprint(cells[:7]); got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
