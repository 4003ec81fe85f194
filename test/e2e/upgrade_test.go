// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An upgrade as docs/install.md has it, of etcd, the API server and the controller;
// TestTunnels upgrades the nodes. Only etcd's costs requests, and their answers describe
// what happened. What it installs also records who does what, so the tests of
// the records are part of this one.
func TestUpgrade(t *testing.T) {
	c := epic(t)
	aside(t, ".epic/overlay")
	aside(t, ".epic/gateway")
	if c.load != nil {
		if err := c.images("v2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.documented("An overlay of your own", "VERSION=dev"); err != nil {
		t.Fatal(err)
	}
	defer c.asShipped(t)
	if c.load == nil {
		// There is no other image: the same one under its own name.
		l := trouble(t, "upgraded", func(t *testing.T, c *cluster) {
			c.run(t, "rollout", "restart", "--namespace", system, "deployment/epic-apiserver")
			c.settled(t)
			c.upgraded(t)
		})
		for _, f := range l.failed {
			t.Error(f)
		}
		return
	}
	for i := range c.upgrades(t) {
		c.upgrade(t, i, []string{"v2", "dev"}[i%2])
	}
	t.Run("attacks", func(t *testing.T) { c.testAttacks(t) })
	t.Run("records", func(t *testing.T) { c.testRecords(t) })
	t.Run("secrets", func(t *testing.T) { c.testNothingSecretShows(t) })
}

// upgrade goes to another version, in the order of the document.
func (c *cluster) upgrade(t *testing.T, i int, version string) {
	t.Helper()
	if err := c.documented("Upgrade", "VERSION="+version); err != nil {
		t.Fatal(err)
	}
	step := func(heading string) *load {
		return trouble(t, fmt.Sprintf("upgrade-%d-%d", i, strings.Count(heading, " ")), func(t *testing.T, c *cluster) {
			if err := c.documented(heading); err != nil {
				t.Fatal(err)
			}
			c.upgraded(t)
		})
	}
	l := step("Upgrade etcd")
	for _, f := range l.unclear {
		t.Error(f)
	}
	c.runs(t, "epic-etcd", version)
	l = step("Upgrade the API server and the controller")
	progress("upgrade %d: %d requests, %d failed", i+1, l.requests.Load(), l.failures())
	for _, f := range l.failed {
		t.Error(f)
	}
	c.runs(t, "epic-apiserver", version)
	c.runs(t, "epic-controller", version)
}

// upgraded waits until the old replicas, which serve to the last, are gone.
func (c *cluster) upgraded(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, func() string {
		pods := strings.Fields(c.run(t, "get", "pods", "--namespace", system, "--selector=app.kubernetes.io/name=epic-apiserver", "--output=name"))
		if len(pods) != 2 {
			return fmt.Sprintf("the replicas are %v", pods)
		}
		return ""
	})
}

// runs fails unless all pods of a program have the image of a version.
func (c *cluster) runs(t *testing.T, name, version string) {
	t.Helper()
	for _, pod := range c.pods(t, name) {
		if image := pod.Spec.Containers[0].Image; !strings.HasSuffix(image, ":"+version) {
			t.Errorf("%s runs %s after the upgrade to %s", pod.Name, image, version)
		}
	}
}

// upgrades is how often the API server is upgraded, from one image to the other and
// back.
func (c *cluster) upgrades(t *testing.T) int {
	t.Helper()
	text := os.Getenv("EPIC_E2E_UPGRADES")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("EPIC_E2E_UPGRADES is %q, and is to be a number from 1", text)
	}
	return n
}
