// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func TestTable(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	columns, cells := s.Row(sample())
	if want := "Name,Node,Tunnels,Up,Down,Ready,Heartbeat,Age|Version"; columns != want {
		t.Errorf("columns\n%s, want\n%s", columns, want)
	}
	if got, want := fmt.Sprint(cells[:7]), "[192.0.2.40 - 0 0 0 - -]"; got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
	o := sample()
	o.Status.NodeName, o.Status.Version, o.Status.Tunnels, o.Status.TunnelsUp, o.Status.TunnelsDown = "gw1", "v1", 5, 3, 1
	o.Status.Conditions, o.Status.HeartbeatTime = kindtest.Ready(), metav1.NewTime(time.Now().Add(-10*time.Minute))
	_, cells = s.Row(o)
	if got, want := fmt.Sprintf("%v %v", cells[:7], cells[8]), "[192.0.2.40 gw1 5 3 1 True 10m] v1"; got != want {
		t.Errorf("cells %s, want %s", got, want)
	}
}
