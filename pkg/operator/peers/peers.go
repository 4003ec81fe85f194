// SPDX-License-Identifier: Apache-2.0

// Package peers completes what one replica of the operator knows about proxies: a proxy is
// connected to one replica, but the leader reports on all. It queries the other proxies
// themselves, which only answer the operator.
package peers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyagent"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// timeout limits one request to a pod of the same cluster.
	timeout = 2 * time.Second
	// fresh is how long a response is reused: one reconciliation needs it several times.
	fresh = time.Second
	// maxAnswer limits the size of a response.
	maxAnswer = 16 << 20
)

// Local is the state of this replica's own server.
type Local interface {
	State(proxy proxyidentity.Proxy) xds.State
	Accepted(proxy proxyidentity.Proxy, key resource.Key) map[string]string
}

// Pod is a running pod of a proxy.
type Pod struct {
	Name    string
	Address netip.Addr
}

// States provides the state of all pods of a proxy.
type States struct {
	// Local is this replica's server.
	Local Local
	// Pods returns the running pods of an object.
	Pods func(proxy proxyidentity.Proxy) []Pod
	// TLS returns the configuration to connect to a pod and verify its identity.
	TLS func(id proxyidentity.Identity) *tls.Config
	// Resource returns the desired resource of an object, or nil if there is none.
	Resource func(proxy proxyidentity.Proxy, key resource.Key) *resource.Resource
	// Port overrides the port of pods in tests.
	Port uint16

	mu      sync.Mutex
	answers map[proxyidentity.Proxy]answer
}

// answer holds the responses of the pods of an object that are not connected to this
// replica.
type answer struct {
	at   time.Time
	pods map[string]proxyagent.Config
}

// State returns the state of all pods, including those that are not connected to this
// replica.
func (s *States) State(id proxyidentity.Proxy) xds.State {
	state := s.Local.State(id)
	for name, config := range s.others(id, state) {
		pod := xds.PodState{Pod: name, Current: config.OperatorConnected, Version: version.Parse(config.Envoy.Version)}
		for _, r := range config.Resources {
			switch {
			case r.Refusal != "":
				pod.Refused = append(pod.Refused, s.refusal(id, r))
			case r.Sent != "" && r.Sent != r.Accepted:
				pod.Current = false
			}
		}
		state.Pods = append(state.Pods, pod)
	}
	slices.SortFunc(state.Pods, func(a, b xds.PodState) int {
		if a.Pod < b.Pod {
			return -1
		}
		return 1
	})
	return state
}

func (s *States) refusal(id proxyidentity.Proxy, r proxyagent.ConfigResource) delta.Refusal {
	out := delta.Refusal{Resource: &resource.Resource{Name: r.Name}, Text: r.Refusal, At: r.SentAt}
	for _, t := range resource.Types() {
		if t.String() == r.Type {
			out.Resource.Type = t
		}
	}
	if known := s.Resource(id, out.Resource.Key()); known != nil {
		out.Resource = known
	}
	return out
}

// Accepted returns the accepted versions of all pods, including those that are not
// connected to this replica.
func (s *States) Accepted(id proxyidentity.Proxy, key resource.Key) map[string]string {
	versions := s.Local.Accepted(id, key)
	if versions == nil {
		versions = map[string]string{}
	}
	for name, config := range s.others(id, s.Local.State(id)) {
		for _, r := range config.Resources {
			if r.Name == key.Name && r.Type == key.Type.String() {
				versions[name] = r.Accepted
			}
		}
	}
	return versions
}

// others queries the pods that are not connected to this replica.
func (s *States) others(id proxyidentity.Proxy, local xds.State) map[string]proxyagent.Config {
	s.mu.Lock()
	has, ok := s.answers[id]
	s.mu.Unlock()
	if !ok || time.Since(has.at) > fresh {
		has = answer{at: time.Now(), pods: s.ask(id, local)}
		s.mu.Lock()
		if s.answers == nil {
			s.answers = map[proxyidentity.Proxy]answer{}
		}
		for other, old := range s.answers {
			if time.Since(old.at) > fresh {
				delete(s.answers, other)
			}
		}
		s.answers[id] = has
		s.mu.Unlock()
	}
	return has.pods
}

func (s *States) ask(id proxyidentity.Proxy, local xds.State) map[string]proxyagent.Config {
	var mu sync.Mutex
	var asking sync.WaitGroup
	all := map[string]proxyagent.Config{}
	for _, pod := range s.Pods(id) {
		if slices.ContainsFunc(local.Pods, func(p xds.PodState) bool { return p.Pod == pod.Name }) {
			continue
		}
		asking.Go(func() {
			config, err := s.config(context.Background(), proxyidentity.Identity{Proxy: id, Pod: pod.Name}, pod.Address, "")
			if err != nil {
				// It starts, or ends, or can't be reached; its Deployment reports that.
				klog.Background().V(2).Info("A proxy does not report its configuration", "proxy", id, "pod", pod.Name, "reason", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[pod.Name] = config
		})
	}
	asking.Wait()
	return all
}

// config queries a pod for its configuration. With the query "bodies", the response
// includes the resources themselves.
func (s *States) config(ctx context.Context, id proxyidentity.Identity, address netip.Addr, query string) (config proxyagent.Config, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	port := s.Port
	if port == 0 {
		port = workload.ConfigPort
	}
	url := "https://" + net.JoinHostPort(address.String(), strconv.Itoa(int(port))) + "/config?" + query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return config, err
	}
	transport := &http.Transport{TLSClientConfig: s.TLS(id), DisableKeepAlives: true}
	got, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return config, err
	}
	defer func() { _ = got.Body.Close() }()
	if got.StatusCode != http.StatusOK {
		return config, fmt.Errorf("it answers %s", got.Status)
	}
	return config, json.NewDecoder(io.LimitReader(got.Body, maxAnswer)).Decode(&config)
}
