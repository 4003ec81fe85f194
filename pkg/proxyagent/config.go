// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Config is what a pod was sent and what its Envoy accepted.
type Config struct {
	Identity proxyidentity.Identity `json:"identity"`
	// OperatorConnected is false while the pod continues with its last configuration.
	OperatorConnected bool             `json:"operatorConnected"`
	Envoy             EnvoyStatus      `json:"envoy"`
	Certificate       *time.Time       `json:"certificateExpires,omitempty"`
	Draining          bool             `json:"draining,omitempty"`
	Resources         []ConfigResource `json:"resources"`
}

// EnvoyStatus is the state of the Envoy.
type EnvoyStatus struct {
	PID      int       `json:"pid,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Restarts int64     `json:"restarts"`
	// Version is the version that Envoy reports; empty before its first request.
	Version string `json:"version,omitempty"`
}

// ConfigResource is one resource.
type ConfigResource struct {
	Type string `json:"type"`
	Name string `json:"name"`
	// Sent is the version last sent to Envoy, at SentAt. Both are omitted if Envoy has
	// had the resource since it connected.
	Sent   string    `json:"sent,omitempty"`
	SentAt time.Time `json:"sentAt,omitzero"`
	// Accepted is the version that Envoy accepted last.
	Accepted string `json:"accepted,omitempty"`
	// Refusal is Envoy's error for the version last sent.
	Refusal string `json:"refusal,omitempty"`
	// TypeURL and Body are the accepted resource as Envoy's message. They are set if
	// bodies were requested, but never for secrets.
	TypeURL string `json:"typeURL,omitempty"`
	Body    []byte `json:"body,omitempty"`
}

// config returns the configuration of the pod. It only reads bodies if they are
// requested.
func (a *agent) config(bodies bool) Config {
	pid, started := a.supervisor.state()
	c := Config{
		Identity: a.options.Identity, OperatorConnected: a.counters.connected.Load(),
		Envoy:    EnvoyStatus{PID: pid, Started: started, Restarts: a.counters.restarts.Load()},
		Draining: a.draining.Load(), Resources: []ConfigResource{},
	}
	if own := a.identity.current(); own != nil {
		c.Certificate = &own.Leaf.NotAfter
	}
	all := map[resource.Key]ConfigResource{}
	a.relay.mu.Lock()
	c.Envoy.Version = a.relay.version
	for k, r := range a.relay.records {
		all[k] = ConfigResource{Sent: r.version, SentAt: r.at, Refusal: r.refusal}
	}
	a.relay.mu.Unlock()
	for k, version := range a.store.keys() {
		r := all[k]
		r.Accepted = version
		if bodies && k.Type != resource.Secret {
			if kept := a.store.get(k); kept != nil && kept.Version == version {
				r.TypeURL, r.Body = k.Type.URL(), kept.Body
			}
		}
		all[k] = r
	}
	for k, r := range all {
		r.Type, r.Name = k.Type.String(), k.Name
		c.Resources = append(c.Resources, r)
	}
	slices.SortFunc(c.Resources, func(x, y ConfigResource) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Name, y.Name))
	})
	return c
}

// serveConfig serves GET /config, with ?bodies for the resources themselves.
func (a *agent) serveConfig(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(a.config(r.URL.Query().Has("bodies")))
}
