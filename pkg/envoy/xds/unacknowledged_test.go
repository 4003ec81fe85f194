// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// silent is a pod that answers only when the test says so.
type silent struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc
}

func connectSilent(t *testing.T, conn *grpc.ClientConn, pod string) *silent {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "name", "web", "pod", pod), time.Minute)
	t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &silent{t, stream, cancel}
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Cluster.URL()})
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Endpoint.URL(), ResourceNamesSubscribe: []string{"a"}})
	return c
}

func (c *silent) send(r *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.stream.Send(r); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the answer to the next response.
func (c *silent) receive() *discoveryv3.DeltaDiscoveryRequest {
	c.t.Helper()
	r, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}
}

// overdue returns the types in the metric that are not 0.
func overdue(t *testing.T) string {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		if f.GetName() != "epic_xds_oldest_unacknowledged_seconds" {
			continue
		}
		if len(f.GetMetric()) != len(resource.Types()) {
			t.Fatalf("the metric has %d series, want one for each type", len(f.GetMetric()))
		}
		for _, m := range f.GetMetric() {
			if v := m.GetGauge().GetValue(); v != 0 {
				all = append(all, fmt.Sprintf("%s %v", m.GetLabel()[0].GetValue(), v))
			}
		}
		return strings.Join(all, ", ")
	}
	t.Fatal("there is no metric")
	return ""
}

// The age of the oldest response that a pod has not answered grows until that pod answers or
// leaves, whatever others do.
func TestUnacknowledged(t *testing.T) {
	var seconds atomic.Int64
	s, conn := serve(t, Options{now: func() time.Time { return time.Unix(1_000_000+seconds.Load(), 0) }})
	wants := func(what, want string) {
		t.Helper()
		eventually(t, what+": "+want, func() bool { return overdue(t) == want })
	}
	s.Set(web, Config{Resources: setOf(raw(resource.Cluster, "x", "1"))}, 0)
	wants("no pod", "")

	quick, hangs := connect(t, conn, "web", "quick", nil), connectSilent(t, conn, "hangs")
	cluster := hangs.receive()
	eventually(t, "the quick pod", func() bool { return quick.version(key(resource.Cluster, "x")) == "v1" })
	seconds.Add(90)
	wants("clusters without an answer", "cluster 90")

	// Later responses do not make the first one look newer.
	s.SetEndpoints(web, "", raw(resource.Endpoint, "a", "1"))
	s.Set(web, Config{Resources: setOf(raw(resource.Cluster, "x", "2"), raw(resource.Endpoint, "a", "1"))}, s.Mark(web))
	endpoints := hangs.receive()
	eventually(t, "the quick pod", func() bool { return quick.version(key(resource.Cluster, "x")) == "v2" })
	seconds.Add(30)
	wants("endpoints, too", "cluster 120, endpoint 30")

	hangs.send(cluster)
	// The newer cluster follows.
	cluster = hangs.receive()
	seconds.Add(5)
	wants("the first answer", "cluster 5, endpoint 35")
	hangs.send(cluster)
	hangs.send(endpoints)
	wants("everything is answered", "")

	s.SetEndpoints(web, "", raw(resource.Endpoint, "a", "2"))
	hangs.receive()
	seconds.Add(7)
	wants("one more", "endpoint 7")
	hangs.cancel()
	wants("the pod has left", "")

	// A proxy that was deleted leaves nothing either.
	connectSilent(t, conn, "hangs").receive()
	seconds.Add(8)
	wants("it came back", "cluster 8, endpoint 8")
	s.Remove(web)
	wants("the proxy was deleted", "")
}
