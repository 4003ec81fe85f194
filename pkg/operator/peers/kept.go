// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"slices"
	"sync"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyagent"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Kept returns the resources that an Envoy of an object has accepted, without secrets, or
// nil if no pod with a listener responds. Of the pods that respond, it uses the first by
// name, so all replicas agree. The pods belong to the tenant: callers must validate their
// responses.
func (s *States) Kept(ctx context.Context, id proxyidentity.Proxy) []*resource.Resource {
	var mu sync.Mutex
	var asking sync.WaitGroup
	all := map[string][]*resource.Resource{}
	for _, pod := range s.Pods(id) {
		asking.Go(func() {
			config, err := s.config(ctx, proxyidentity.Identity{Proxy: id, Pod: pod.Name}, pod.Address, "bodies")
			if err != nil {
				klog.FromContext(ctx).V(2).Info("A proxy does not report its configuration", "proxy", id, "pod", pod.Name, "reason", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[pod.Name] = accepted(config.Resources)
		})
	}
	asking.Wait()
	first := ""
	for name, has := range all {
		if slices.ContainsFunc(has, func(r *resource.Resource) bool { return r.Type == resource.Listener }) && (first == "" || name < first) {
			first = name
		}
	}
	return all[first]
}

// accepted returns the resources that a pod reported with their bodies.
func accepted(all []proxyagent.ConfigResource) []*resource.Resource {
	var out []*resource.Resource
	for i := range all {
		t, ok := resource.TypeOf(all[i].TypeURL)
		if ok && t != resource.Secret && all[i].Name != "" && all[i].Accepted != "" {
			out = append(out, &resource.Resource{Type: t, Name: all[i].Name, Version: all[i].Accepted, Body: all[i].Body})
		}
	}
	return out
}
