// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"
	"time"

	"github.com/acnodal/epic/pkg/node/statefile"
)

// Access is the credential of the node's client, if it may change while the program runs.
type Access struct {
	// Expires returns when the current credential expires; zero if unknown.
	Expires func() time.Time
	// Problem returns why it can't be renewed; empty if there is no problem.
	Problem func() string
	// Run keeps the credential current until ctx ends. An error ends the program.
	Run func(ctx context.Context) error
}

// parts returns the parts that run with the rest of the agent.
func (a *Access) parts() []Part {
	if a == nil {
		return nil
	}
	return []Part{{"credential", a.Run}}
}

func (a *Access) problems() []string {
	if a == nil {
		return nil
	}
	if text := a.Problem(); text != "" {
		return []string{text}
	}
	return nil
}

func (a *Access) expires() time.Time {
	if a == nil {
		return time.Time{}
	}
	return a.Expires()
}

// ClientAddresses returns the addresses by which EPIC identified this client node when
// its state was last written, or none if unknown.
func ClientAddresses(stateDir string) []netip.Addr {
	var s struct {
		Role  string       `json:"role"`
		Nodes []netip.Addr `json:"nodes"`
	}
	found, err := statefile.File{Path: statePath(stateDir), Version: stateVersion}.Load(&s)
	if err != nil || !found || s.Role != roleClient {
		return nil
	}
	return s.Nodes
}
