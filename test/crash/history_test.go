// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// The layout is written here once more on purpose: the judge takes no word from
// the code that it judges.
const (
	objectFolder = "/epic/epic.acnodal.io/loadbalancers/"
	tunnelFolder = "/epic/.claims/v1/tunnel/"
	lastTunnel   = "/epic/.claims/last/tunnel"
)

// written is one acknowledged write.
type written struct{ object, version string }

// verdict goes through all that etcd ever did, revision by revision, and checks
// after each that objects and claims agree, that no tunnel ID has two holders or
// is given out a second time, and that the last ID is right. It returns which
// version of which object each revision wrote.
func verdict(t *testing.T, url string) map[int64]written {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	head, err := client.Get(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{t: t, objects: map[string]map[int64]bool{}, claims: map[int64]string{}, ever: map[int64]int64{}, writes: map[int64]written{}}
	// A key of the test's own marks the end of what is to be read.
	if _, err := client.Put(ctx, "/epic/.end", ""); err != nil {
		t.Fatal(err)
	}
	for resp := range client.Watch(ctx, "/epic/", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if resp.Err() != nil {
			t.Fatal(resp.Err())
		}
		for _, group := range byRevision(resp.Events) {
			j.revision(group)
			if group[0].Kv.ModRevision > head.Header.Revision {
				t.Logf("%d revisions, %d writes of load balancers, %d tunnel IDs were assigned, %d are held", head.Header.Revision, len(j.writes), len(j.ever), len(j.claims))
				return j.writes
			}
		}
	}
	t.Fatal("the history ended early")
	return nil
}

func byRevision(events []*clientv3.Event) [][]*clientv3.Event {
	var out [][]*clientv3.Event
	for i, e := range events {
		if i == 0 || e.Kv.ModRevision != events[i-1].Kv.ModRevision {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], e)
	}
	return out
}

type judge struct {
	t *testing.T
	// objects holds the tunnel IDs of each object, claims the holder of each ID,
	// ever the revision at which each ID was assigned.
	objects map[string]map[int64]bool
	claims  map[int64]string
	ever    map[int64]int64
	last    int64
	writes  map[int64]written
}

func (j *judge) revision(events []*clientv3.Event) {
	rev := events[0].Kv.ModRevision
	var assigned []int64
	lastWritten := false
	for _, e := range events {
		switch key := string(e.Kv.Key); {
		case strings.HasPrefix(key, objectFolder):
			j.object(strings.TrimPrefix(key, objectFolder), e)
		case strings.HasPrefix(key, tunnelFolder):
			if id, isNew := j.claim(key, e); isNew {
				assigned = append(assigned, id)
			}
		case key == lastTunnel:
			lastWritten = true
			j.last = number(j.t, string(e.Kv.Value))
		}
	}
	if len(assigned) > 0 && (!lastWritten || !slices.Contains(assigned, j.last)) {
		j.t.Errorf("revision %d assigned %v, and the last ID is said to be %d", rev, assigned, j.last)
	}
	j.compare(rev)
}

func (j *judge) object(name string, e *clientv3.Event) {
	if e.Type == mvccpb.DELETE {
		delete(j.objects, name)
		j.writes[e.Kv.ModRevision] = written{object: name}
		return
	}
	obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(e.Kv.Value, nil, nil)
	if err != nil {
		j.t.Fatalf("%s at revision %d: %v", name, e.Kv.ModRevision, err)
	}
	lb := obj.(*epicv1.LoadBalancer)
	ids := map[int64]bool{}
	for _, entry := range lb.Status.GUETunnelEndpoints {
		for _, tunnel := range entry.EPICEndpoints {
			if ids[int64(tunnel.TunnelID)] {
				j.t.Errorf("%s has tunnel %d twice", name, tunnel.TunnelID)
			}
			ids[int64(tunnel.TunnelID)] = true
		}
	}
	j.objects[name] = ids
	j.writes[e.Kv.ModRevision] = written{object: name, version: versionOf(lb)}
}

func (j *judge) claim(key string, e *clientv3.Event) (id int64, assigned bool) {
	id = number(j.t, strings.TrimPrefix(key, tunnelFolder))
	if e.Type == mvccpb.DELETE {
		delete(j.claims, id)
		return id, false
	}
	holder := strings.Split(string(e.Kv.Value), "/")
	name := holder[1] + "/" + holder[2]
	if before, ok := j.claims[id]; ok {
		j.t.Errorf("revision %d gave tunnel %d to %s while %s had it", e.Kv.ModRevision, id, name, before)
	}
	// There are 2147483647 IDs: none has a second turn in this test.
	if before, ok := j.ever[id]; ok {
		j.t.Errorf("revision %d assigned tunnel %d, which was assigned at %d already", e.Kv.ModRevision, id, before)
	}
	j.claims[id], j.ever[id] = name, e.Kv.ModRevision
	return id, true
}

// compare finds any difference between what the objects have and what is
// claimed.
func (j *judge) compare(rev int64) {
	held := 0
	for name, ids := range j.objects {
		for id := range ids {
			held++
			if j.claims[id] != name {
				j.t.Errorf("at revision %d %s has tunnel %d, whose claim names %q", rev, name, id, j.claims[id])
			}
		}
	}
	if held != len(j.claims) {
		j.t.Errorf("at revision %d objects have %d tunnels, and %d are claimed", rev, held, len(j.claims))
	}
}

func number(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("not a number in etcd: %w", err))
	}
	return n
}
