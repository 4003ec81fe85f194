// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

// TestReleasedAddress: another account gets a released address only when it has cooled
// down, and the account that had it at once.
func TestReleasedAddress(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	k.run(t, "patch", "-n", "epic-one", "lb", "first", "--type=merge", "-p", `{"spec":{"upstream-clusters":[]}}`)
	k.run(t, "delete", "-n", "epic-one", "lb", "first")
	asks := func(namespace string) string {
		return object("LoadBalancer", namespace, "again", "spec: {service-group: offered, public-address: 192.0.2.9, public-ports: [{port: 80}]}")
	}
	for _, dry := range []string{"--dry-run=server", "--dry-run=none"} {
		wants(t, "the refusal", k.refused(t, asks("epic-two"), "create", dry, "-f", "-"), "spec.public-address", "192.0.2.9", "until recently", "is free from 20")
		k.apply(t, asks("epic-one"), "create", dry, "-f", "-")
	}
	cleanAudit(t, k)
}
