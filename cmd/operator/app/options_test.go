// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"strings"
	"testing"
)

// TestProcessNetwork checks flags that are valid or invalid only in combination. The
// message names the flag and the fix.
func TestProcessNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		network, node string
		err           string
	}{
		"the host's addresses":         {onHost, "", ""},
		"loopback":                     {onLoopback, "", ""},
		"the host's, with a node":      {onHost, "192.0.2.40", "--node-address has no effect with --process-network=host"},
		"loopback, with a node":        {onLoopback, "192.0.2.40", "--node-address has no effect with --process-network=loopback"},
		"nowhere":                      {"bridge", "", `--process-network is "bridge": set namespaces, loopback or host`},
		"namespaces, without a node":   {inNamespaces, "", "--node-address"},
		"namespaces, a node by name":   {inNamespaces, "gateway-1", "--node-address"},
		"namespaces, a node's address": {inNamespaces, "192.0.2.40", ""},
	} {
		o := newOptions()
		o.runner, o.network, o.nodeAddress, o.dir = runProcesses, test.network, test.node, "/tmp/epic"
		want := test.err
		if test.network == inNamespaces && os.Geteuid() != 0 {
			want = "--process-network=namespaces takes root"
		}
		if err := o.validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
