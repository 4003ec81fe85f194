// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Three times the documented command go from one master key to the next, which
// never is used before it was accepted.
func TestTunnelKeysAreRotated(t *testing.T) {
	c := epic(t)
	keys := func() []string {
		t.Helper()
		data, err := base64.StdEncoding.DecodeString(c.run(t, "get", "secret", "--namespace", system, "epic-tunnel-keys", "--output=jsonpath={.data.keys}"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	rotate := func() []string {
		t.Helper()
		if err := c.documented("Keys of tunnels"); err != nil {
			t.Fatal(err)
		}
		return keys()
	}
	// A line is not shown: it is the key.
	same := func(what string, got []string, want ...string) {
		t.Helper()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%s: %d keys, which are not those that are wanted, or not in their order", what, len(got))
		}
	}
	old := keys()
	if len(old) != 1 {
		t.Fatalf("There are %d keys at the start", len(old))
	}
	accepted := rotate()
	if len(accepted) != 2 {
		t.Fatalf("Step 1 leaves %d keys", len(accepted))
	}
	fresh := accepted[1]
	same("step 1", accepted, old[0], fresh)
	var oldID, freshID int
	for line, id := range map[string]*int{old[0]: &oldID, fresh: &freshID} {
		if _, err := fmt.Sscan(line, id); err != nil {
			t.Fatal("A key has no ID")
		}
	}
	if freshID != oldID%255+1 {
		t.Errorf("The key after %d is %d", oldID, freshID)
	}
	same("step 2", rotate(), fresh, old[0])
	same("step 3", rotate(), fresh)
	// An installation that is gone over again keeps its key.
	again := script("hack/tunnel-keys.sh")
	again.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL="+c.kubectl)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("hack/tunnel-keys.sh: %v\n%s", err, out)
	}
	same("created again", keys(), fresh)
}
