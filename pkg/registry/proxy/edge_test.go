// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// A proxy sets the parts of edge settings that its group leaves to it, and lower limits,
// by creation and by update, in a dry run and in earnest.
func TestEdge(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	group := rt.Group("epic", "edgy", "default")
	group.Spec.Edge = &epic.EdgeSpec{
		ConnectionLimit: &epic.ConnectionLimit{PerListener: new(int32(1000))},
		RateLimit:       &epic.RateLimit{Requests: &epic.Rate{Count: 100, Interval: "1s", Burst: new(int32(200))}},
		ProxyProtocol:   &epic.ProxyProtocol{Clients: epic.ProxyProtocolRequired},
	}
	group.Spec.EdgeOverrides = []epic.EdgePart{epic.EdgeHealthCheck, epic.EdgeHTTP3}
	group = rt.MustCreate(w, group)
	for name, c := range map[string]struct {
		edge  epic.EdgeSpec
		words []string // of the refusal, if there is one
	}{
		"nothing":                   {},
		"a part of it":              {edge: epic.EdgeSpec{HealthCheck: &epic.HealthCheck{Type: epic.HealthCheckTCP}}},
		"lower numbers":             {edge: epic.EdgeSpec{ConnectionLimit: &epic.ConnectionLimit{PerListener: new(int32(10)), PerBackend: new(int32(10))}}},
		"higher numbers":            {epic.EdgeSpec{ConnectionLimit: &epic.ConnectionLimit{PerListener: new(int32(1001))}}, []string{"spec.edge.connectionLimit.perListener", `"1001"`, "more than the limit of 1000 in group edgy", "use at most that"}},
		"lower rate":                {edge: epic.EdgeSpec{RateLimit: &epic.RateLimit{Requests: &epic.Rate{Count: 5000, Interval: "1m"}, Connections: &epic.Rate{Count: 1}}}, words: []string{"spec.edge.rateLimit.requests.burst", "more than the limit of 200"}},
		"same rate in another time": {edge: epic.EdgeSpec{RateLimit: &epic.RateLimit{Requests: &epic.Rate{Count: 10, Interval: "100ms"}}}},
		"higher rate":               {epic.EdgeSpec{RateLimit: &epic.RateLimit{Requests: &epic.Rate{Count: 11, Interval: "100ms"}}}, []string{"spec.edge.rateLimit.requests", "11 in 100ms", "more than the rate of 100 in 1s in group edgy"}},
		"another part":              {epic.EdgeSpec{AccessLog: &epic.AccessLog{Format: epic.AccessLogNone}}, []string{"spec.edge.accessLog", "lists HealthCheck, HTTP3", "remove it, or ask the platform team to add AccessLog"}},
		"two other parts": {epic.EdgeSpec{OutlierDetection: &epic.OutlierDetection{}, ProxyProtocol: &epic.ProxyProtocol{}}, []string{
			"spec.edge.outlierDetection", "add OutlierDetection", "spec.edge.proxyProtocol", "add ProxyProtocol"}},
		"traces elsewhere":          {epic.EdgeSpec{Tracing: &epic.Tracing{Collector: &epic.TraceCollector{Host: "metadata.internal"}}}, []string{"spec.edge.tracing", "edgy"}},
		"what excludes the group's": {epic.EdgeSpec{HTTP3: &epic.HTTP3{}}, []string{"spec.edge.http3.mode", "proxyProtocol.clients Required"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
				created, updated := rt.GWProxy("one", "created", "edgy"), rt.MustCreate(w, rt.GWProxy("one", "updated", "edgy"))
				created.Spec.Edge, updated.Spec.Edge = &c.edge, &c.edge
				_, err := rt.Create(w, created, dryRun...)
				_, err2 := rt.Update(w, updated, dryRun...)
				for _, err := range []error{err, err2} {
					if len(c.words) > 0 {
						rt.Refused(t, err, c.words...)
					} else if err != nil {
						t.Error(err)
					}
				}
				if err == nil && dryRun == nil {
					rt.MustDelete(w, created)
				}
				rt.MustDelete(w, updated)
			}
		})
	}

	// A proxy keeps its settings when the group changes, but can't change them to settings
	// that are not allowed.
	lb := rt.LoadBalancer("one", "kept", "edgy")
	lb.Spec.Edge = &epic.EdgeSpec{HealthCheck: &epic.HealthCheck{Type: epic.HealthCheckTCP}}
	lb = rt.MustCreate(w, lb)
	group.Spec.EdgeOverrides = nil
	rt.MustUpdate(w, group)
	lb.Spec.DisplayName = "other"
	lb = rt.MustUpdate(w, lb)
	lb.Spec.Edge.HealthCheck.Interval = "20s"
	_, err := rt.Update(w, lb)
	rt.Refused(t, err, "spec.edge.healthCheck", "lists no part")
	lb.Spec.Edge = nil
	rt.MustUpdate(w, lb)
}
