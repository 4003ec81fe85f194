// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Bootstrap is what Envoy's first configuration depends on.
type Bootstrap struct {
	Identity proxyidentity.Identity
	// XDSSocket and AdminSocket are unix sockets: this program's, and Envoy's own.
	XDSSocket, AdminSocket string
	// MemoryLimit is how many bytes of memory Envoy may have, or 0.
	MemoryLimit uint64
}

// DefaultBootstrap returns the first configuration of a proxy's Envoy, which gets
// everything else from this program.
func DefaultBootstrap(b Bootstrap) ([]byte, error) {
	c := bootstrap.Config{
		NodeID: b.Identity.Pod, NodeCluster: b.Identity.Namespace + "/" + b.Identity.Name,
		Metadata:  map[string]string{"kind": b.Identity.Kind, "namespace": b.Identity.Namespace, "name": b.Identity.Name},
		XDSSocket: b.XDSSocket, AdminSocket: b.AdminSocket, MemoryLimitBytes: b.MemoryLimit,
	}
	return c.JSON()
}
