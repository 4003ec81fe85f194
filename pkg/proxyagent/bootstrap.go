// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Bootstrap is the input of Envoy's bootstrap configuration.
type Bootstrap struct {
	Identity proxyidentity.Identity
	// XDSSocket and AdminSocket are the unix sockets of this program and of Envoy.
	XDSSocket, AdminSocket string
	// MemoryLimit is the memory limit of Envoy in bytes, or 0 for none.
	MemoryLimit uint64
}

// DefaultBootstrap returns the bootstrap configuration of a proxy's Envoy, which gets
// everything else from this program.
func DefaultBootstrap(b Bootstrap) ([]byte, error) {
	c := bootstrap.Config{
		NodeID: b.Identity.Pod, NodeCluster: b.Identity.Namespace + "/" + b.Identity.Name,
		Metadata:  map[string]string{"kind": b.Identity.Kind, "namespace": b.Identity.Namespace, "name": b.Identity.Name},
		XDSSocket: b.XDSSocket, AdminSocket: b.AdminSocket, MemoryLimitBytes: b.MemoryLimit,
	}
	return c.JSON()
}
