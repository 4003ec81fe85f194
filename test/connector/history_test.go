// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// The layouts and rules are written here once more on purpose: the judge takes no word from
// the code that it judges.
const (
	localGateways = "/tenants/gateway.networking.k8s.io/gateways/"
	localServices = "/tenants/services/specs/"
	epicFolder    = "/epic/epic.acnodal.io/"
)

// judge goes through everything that both clusters ever stored, in the order of etcd's
// revisions, and checks after each that
//
//   - a GWProxy or LoadBalancer, and with it an address, goes only after the Gateway or
//     Service that it stands for stopped asking for it, and
//   - nothing of another owner is written.
type judge struct {
	t         *testing.T
	namespace string
	// foreign are the keys in EPIC that must not change, from a revision on.
	foreign map[string]bool
	from    int64
	// asks is which remote object each local one asks for now, by the local one's key.
	asks map[string]string
	// stopped is when a remote object was last asked for by nobody, created when it was made.
	stopped, created map[string]int64
	deletions        int
}

func (w *world) etcdClient(t *testing.T) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcdURL}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// revision is etcd's latest.
func revision(t *testing.T, c *clientv3.Client) int64 {
	t.Helper()
	head, err := c.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return head.Header.Revision
}

// verdict judges the history up to now.
func (j *judge) verdict(c *clientv3.Client) {
	j.t.Helper()
	j.asks, j.stopped, j.created = map[string]string{}, map[string]int64{}, map[string]int64{}
	events := history(j.t, c, 1)
	for _, e := range events {
		j.event(e)
	}
	j.t.Logf("%d writes; %d addresses were released", len(events), j.deletions)
}

// history is everything that happened from a revision up to now.
func history(t *testing.T, c *clientv3.Client, from int64) []*clientv3.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	end := revision(t, c)
	// A key of the test's own marks the end of what is to be read.
	if _, err := c.Put(ctx, "/end", ""); err != nil {
		t.Fatal(err)
	}
	var all []*clientv3.Event
	for response := range c.Watch(ctx, "/", clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithPrevKV()) {
		if response.Err() != nil {
			t.Fatal(response.Err())
		}
		for _, e := range response.Events {
			if e.Kv.ModRevision > end {
				return all
			}
			all = append(all, e)
		}
	}
	t.Fatal("the history ended early")
	return nil
}

func (j *judge) event(e *clientv3.Event) {
	key := string(e.Kv.Key)
	switch {
	case j.foreign[key] && e.Kv.ModRevision > j.from:
		j.t.Errorf("revision %d: %s, which belongs to somebody else, was written or deleted", e.Kv.ModRevision, key)
	case strings.HasPrefix(key, localGateways):
		j.local(e, "gwproxies/", func(value []byte) (string, bool) {
			g := &gatewayv1.Gateway{}
			if err := json.Unmarshal(value, g); err != nil {
				j.t.Fatal(err)
			}
			return asked(g), g.DeletionTimestamp == nil && g.Spec.GatewayClassName == "epic"
		})
	case strings.HasPrefix(key, localServices):
		j.local(e, "loadbalancers/", func(value []byte) (string, bool) {
			s := &corev1.Service{}
			if err := json.Unmarshal(value, s); err != nil {
				j.t.Fatal(err)
			}
			return asked(s), s.DeletionTimestamp == nil && ptr.Deref(s.Spec.LoadBalancerClass, "") == "epic.acnodal.io/lb"
		})
	case strings.HasPrefix(key, epicFolder+"gwproxies/"+j.namespace+"/"), strings.HasPrefix(key, epicFolder+"loadbalancers/"+j.namespace+"/"):
		j.remote(strings.Replace(strings.TrimPrefix(key, epicFolder), j.namespace+"/", "", 1), e)
	}
}

// asked is the name of the remote object of a local one.
func asked(o metav1.Object) string {
	if key := o.GetAnnotations()["epic.acnodal.io/sharing-key"]; key != "" {
		return key
	}
	return string(o.GetUID())
}

// local records what a local object requests.
func (j *judge) local(e *clientv3.Event, kind string, read func([]byte) (string, bool)) {
	key := string(e.Kv.Key)
	before := j.asks[key]
	delete(j.asks, key)
	if e.Type != mvccpb.DELETE {
		if name, wants := read(e.Kv.Value); wants {
			j.asks[key] = kind + name
		}
	}
	if before == "" || j.asks[key] == before {
		return
	}
	for _, other := range j.asks {
		if other == before {
			return
		}
	}
	j.stopped[before] = e.Kv.ModRevision
}

// remote checks the deletion of a remote object.
func (j *judge) remote(name string, e *clientv3.Event) {
	if e.Type != mvccpb.DELETE {
		if e.IsCreate() {
			j.created[name] = e.Kv.ModRevision
		}
		return
	}
	j.deletions++
	o, _, err := scheme.Codecs.UniversalDeserializer().Decode(e.PrevKv.Value, nil, nil)
	if err != nil {
		j.t.Fatalf("%s at revision %d: %v", name, e.Kv.ModRevision, err)
	}
	address := ""
	switch o := o.(type) {
	case *epicv1.GWProxy:
		address = o.Spec.PublicAddress
	case *epicv1.LoadBalancer:
		address = o.Spec.PublicAddress
	}
	wanted := false
	for _, asked := range j.asks {
		wanted = wanted || asked == name
	}
	if wanted && j.stopped[name] < j.created[name] {
		j.t.Errorf("revision %d: %s with the address %s was deleted, and %s had not stopped asking for it since revision %d",
			e.Kv.ModRevision, name, address, publish.ControllerName, j.created[name])
	}
}
