// SPDX-License-Identifier: Apache-2.0

package options

import (
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/tunnelkey"
)

// A server replaces only the master key that it made.
func TestRotation(t *testing.T) {
	const age = 90 * 24 * time.Hour
	for name, c := range map[string]struct {
		file       string
		standalone bool
		want       time.Duration
	}{
		"standalone":                   {"", true, age},
		"standalone, somebody's file":  {"/etc/keys", true, 0},
		"in a cluster":                 {"/etc/keys", false, 0},
		"in a cluster, without a file": {"", false, 0},
	} {
		o := NewNodeOptions()
		o.TunnelKeyFile = c.file
		if got := o.Rotation(c.standalone); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
	for age, bad := range map[time.Duration]int{0: 0, tunnelkey.MinRotation: 0, time.Hour: 1, -time.Hour: 1} {
		o := NewNodeOptions()
		if o.TunnelKeyRotation = age; len(o.Validate()) != bad {
			t.Errorf("%s: %v", age, o.Validate())
		}
	}
}
