// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// An upgrade as docs/install.md has it costs no request. What it installs also
// records who does what, so that the tests of the records are part of this one.
func TestUpgrade(t *testing.T) {
	c := epic(t)
	aside(t, ".epic/overlay")
	if c.load != nil {
		if err := c.images("v2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.documented("An overlay of your own"); err != nil {
		t.Fatal(err)
	}
	defer c.asShipped(t)
	l := trouble(t, "upgraded", func(t *testing.T, c *cluster) {
		if c.load == nil {
			// There is no other image: the same one under its own name.
			c.run(t, "rollout", "restart", "--namespace", system, "deployment/epic-apiserver")
			c.settled(t)
		} else if err := c.documented("Upgrade"); err != nil {
			t.Fatal(err)
		}
		// The old replicas serve until the last of them is gone.
		eventually(t, 2*time.Minute, func() string {
			pods := strings.Fields(c.run(t, "get", "pods", "--namespace", system, "--selector=app.kubernetes.io/name=epic-apiserver", "--output=name"))
			if len(pods) != 2 {
				return fmt.Sprintf("the replicas are %v", pods)
			}
			return ""
		})
	})
	for _, f := range l.failed {
		t.Error(f)
	}
	if c.load == nil {
		return
	}
	for _, pod := range c.pods(t, "epic-apiserver") {
		if image := pod.Spec.Containers[0].Image; !strings.HasSuffix(image, ":v2") {
			t.Errorf("%s still runs %s", pod.Name, image)
		}
	}
	t.Run("records", func(t *testing.T) { c.testRecords(t) })
	t.Run("secrets", func(t *testing.T) { c.testNothingSecretShows(t) })
}
