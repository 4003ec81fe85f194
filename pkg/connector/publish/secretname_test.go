// SPDX-License-Identifier: Apache-2.0

package publish

import "testing"

func TestIsSecretOf(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		want          bool
	}{
		{"paris.0f5", "paris", true},
		{"paris.0f5-ca", "paris", true},
		{"paris.2.0f5", "paris.2", true},
		{"paris.2.0f5", "paris", false},
		{"paris.0f5", "paris.2", false},
		{"paris2.0f5", "paris", false},
		{"rome.0f5", "paris", false},
		{"paris", "paris", false},
	} {
		if got := IsSecretOf(c.name, c.cluster); got != c.want {
			t.Errorf("%s of %s: %t", c.name, c.cluster, got)
		}
	}
}
