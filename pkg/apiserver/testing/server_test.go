// SPDX-License-Identifier: Apache-2.0

package testing

import (
	"testing"

	"k8s.io/client-go/discovery"
)

func TestServersAreIndependent(t *testing.T) {
	for range 2 {
		server := StartTestServer(t)
		client, err := discovery.NewDiscoveryClientForConfig(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.ServerVersion(); err != nil {
			t.Errorf("The administrator can't read the version: %v", err)
		}
	}
}
