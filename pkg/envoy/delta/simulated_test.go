// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// configuration is a view whose content a test changes.
type configuration struct {
	ready bool
	set   map[resource.Key]*Entry
}

func (c *configuration) Ready() bool { return c.ready }

func (c *configuration) Get(t resource.Type, name string) *Entry {
	return c.set[resource.Key{Type: t, Name: name}]
}

func (c *configuration) Each(t resource.Type, f func(string)) {
	for k := range c.set {
		if k.Type == t {
			f(k.Name)
		}
	}
}

// plain makes a resource whose body lists what it refers to, such as "1 route:a". A
// client refuses bodies with the word bad.
func plain(t testing.TB, typ resource.Type, name, content string) *resource.Resource {
	t.Helper()
	if typ != resource.Cluster {
		return &resource.Resource{Type: typ, Name: name, Body: []byte(content), Version: content}
	}
	r, err := resource.New(typ, name, &clusterv3.Cluster{
		Name: name, AltStatName: content,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{ServiceName: "eds-" + name},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// references returns the names that a body refers to by a word such as "route:".
func references(body []byte, word string) []string {
	var names []string
	for f := range bytes.FieldsSeq(body) {
		if name, ok := strings.CutPrefix(string(f), word); ok {
			names = append(names, name)
		}
	}
	return names
}

// client behaves as Envoy does.
type client struct {
	t      testing.TB
	random *rand.Rand
	// has is what the client serves with, names what it subscribes to by name.
	has   map[resource.Key]*discoveryv3.Resource
	names map[resource.Key]bool
	// cold are clusters that have not got endpoints since they were last changed.
	cold map[string]bool
	// uncertain counts how often a resource may come unchanged: once for each refused
	// response that it was in, and each time that the client asks for it.
	uncertain map[resource.Key]int
	// refused are the versions that were refused last on this stream.
	refused map[resource.Key]string
	// received counts resources.
	received int
	requests []*discoveryv3.DeltaDiscoveryRequest
	began    map[resource.Type]bool
	// held is an acknowledgment of clusters that waits for their endpoints.
	held *discoveryv3.DeltaDiscoveryRequest
	// sentWith are the good clusters that the server had when it made the response that
	// the client applies, and whether it had endpoints for them.
	sentWith map[string]bool
	// want looks up what the server has.
	want func(resource.Key) *Entry
}

func newClient(t testing.TB, random *rand.Rand, want func(resource.Key) *Entry) *client {
	return &client{
		t: t, random: random, want: want, has: map[resource.Key]*discoveryv3.Resource{}, names: map[resource.Key]bool{},
		cold: map[string]bool{}, uncertain: map[resource.Key]int{}, refused: map[resource.Key]string{},
	}
}

// connect begins a stream.
func (c *client) connect() {
	c.requests, c.held = nil, nil
	clear(c.refused)
	// No server can know that a cluster changed just before the connection was lost.
	// Envoy gives it the endpoints that it has after a timeout.
	clear(c.cold)
	c.began = map[resource.Type]bool{}
	for _, t := range resource.Types() {
		r := c.request(t)
		r.InitialResourceVersions = map[string]string{}
		for k := range c.names {
			if k.Type == t {
				r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, k.Name)
			}
		}
		for k, has := range c.has {
			if k.Type == t {
				r.InitialResourceVersions[k.Name] = has.Version
			}
		}
		if t.Wildcard() || len(r.ResourceNamesSubscribe) > 0 {
			c.push(t, r)
		}
	}
}

func (c *client) request(t resource.Type) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.URL()}
}

func (c *client) push(t resource.Type, r *discoveryv3.DeltaDiscoveryRequest) {
	c.began[t] = true
	c.requests = append(c.requests, r)
}

// respond takes a response and queues the answer.
func (c *client) respond(r *discoveryv3.DeltaDiscoveryResponse) {
	t, _ := resource.TypeOf(r.TypeUrl)
	answer := c.request(t)
	answer.ResponseNonce = r.Nonce
	var bad []string
	for _, got := range r.Resources {
		if bytes.Contains(got.Resource.Value, []byte("bad")) {
			bad = append(bad, got.Name)
			k := resource.Key{Type: t, Name: got.Name}
			if len(r.Resources) == 1 {
				c.refused[k] = got.Version
			} else if c.refused[k] == got.Version {
				c.t.Errorf("%s %s was refused and came again among %d", t, got.Name, len(r.Resources))
			}
		}
	}
	c.received += len(r.Resources)
	partly := c.random.IntN(2) == 0 && (t == resource.Cluster || t == resource.Listener)
	for _, got := range r.Resources {
		k := resource.Key{Type: t, Name: got.Name}
		if t == resource.Cluster {
			// Its endpoints follow.
			c.uncertain[resource.Key{Type: resource.Endpoint, Name: "eds-" + k.Name}]++
		}
		if has := c.has[k]; has != nil && has.Version == got.Version && len(bad) == 0 {
			if c.uncertain[k]--; c.uncertain[k] < 0 {
				c.t.Errorf("%s %s came again unchanged", t, got.Name)
			}
		}
		if !t.Wildcard() && !c.names[k] {
			// The client unsubscribed in the meantime.
			continue
		}
		if len(bad) == 0 || partly && !slices.Contains(bad, got.Name) {
			c.apply(k, got, len(bad) == 0)
		}
		if len(bad) > 0 {
			c.uncertain[k]++
		} else {
			delete(c.refused, k)
		}
	}
	if len(bad) == 0 {
		for _, name := range r.RemovedResources {
			c.remove(resource.Key{Type: t, Name: name})
		}
	} else {
		text := "refused"
		if c.random.IntN(2) == 0 {
			text = "Error adding/updating: " + strings.Join(bad, ": x\n") + ": x"
		}
		answer.ErrorDetail = &statuspb.Status{Code: 13, Message: text}
	}
	if t == resource.Cluster && answer.ErrorDetail == nil {
		c.held = answer
	} else {
		c.push(t, answer)
	}
	c.subscriptions()
	c.warm(false)
}

// warm acknowledges clusters when all have their endpoints, or after a timeout.
func (c *client) warm(timeout bool) bool {
	if timeout {
		for cluster, possible := range c.cold {
			e := c.want(resource.Key{Type: resource.Endpoint, Name: "eds-" + cluster})
			if possible && e != nil && !bytes.Contains(e.Body, []byte("bad")) {
				c.t.Errorf("cluster %s timed out waiting for its endpoints", cluster)
			}
		}
		clear(c.cold)
	}
	if c.held == nil || len(c.cold) > 0 {
		return false
	}
	c.push(resource.Cluster, c.held)
	c.held = nil
	return true
}

// apply takes a resource. The versions of what came in a refused response are not
// noted, as in Envoy.
func (c *client) apply(k resource.Key, got *discoveryv3.Resource, noted bool) {
	before := c.has[k]
	switch k.Type {
	case resource.Cluster:
		if before == nil || !bytes.Equal(before.Resource.Value, got.Resource.Value) {
			// Whether its endpoints can follow at once.
			c.cold[k.Name] = c.want(resource.Key{Type: resource.Endpoint, Name: "eds-" + k.Name}) != nil
		}
	case resource.Endpoint:
		delete(c.cold, strings.TrimPrefix(k.Name, "eds-"))
	case resource.Listener, resource.Route:
		for _, cluster := range references(got.Resource.Value, "cluster:") {
			endpoints, there := c.sentWith[cluster]
			switch {
			case !there:
			case c.has[resource.Key{Type: resource.Cluster, Name: cluster}] == nil:
				c.t.Errorf("%s %s came before its cluster %s", k.Type, k.Name, cluster)
			case c.cold[cluster] && endpoints:
				c.t.Errorf("%s %s came before the endpoints of its cluster %s", k.Type, k.Name, cluster)
			}
		}
	case resource.Secret:
	}
	if !noted && before != nil {
		got = proto.CloneOf(got)
		got.Version = before.Version
	} else if !noted {
		got = proto.CloneOf(got)
		got.Version = "?"
	}
	c.has[k] = got
}

func (c *client) remove(k resource.Key) {
	delete(c.has, k)
	if k.Type != resource.Cluster {
		return
	}
	delete(c.cold, k.Name)
	for other, has := range c.has {
		for _, cluster := range references(has.GetResource().GetValue(), "cluster:") {
			if e := c.want(other); cluster == k.Name && e != nil && e.Version == has.Version && c.want(k) == nil && !slices.Contains(references(e.Body, "cluster:"), cluster) {
				c.t.Errorf("Cluster %s was removed before the %s %s that names it", k.Name, other.Type, other.Name)
			}
		}
	}
}

// subscriptions subscribes to what the client's resources refer to.
func (c *client) subscriptions() {
	need := map[resource.Key]bool{}
	for k, has := range c.has {
		body := has.Resource.Value
		switch k.Type {
		case resource.Cluster:
			need[resource.Key{Type: resource.Endpoint, Name: "eds-" + k.Name}] = true
		case resource.Listener:
			for _, name := range references(body, "route:") {
				need[resource.Key{Type: resource.Route, Name: name}] = true
			}
			for _, name := range references(body, "secret:") {
				need[resource.Key{Type: resource.Secret, Name: name}] = true
			}
		case resource.Endpoint, resource.Route, resource.Secret:
		}
	}
	for _, t := range []resource.Type{resource.Endpoint, resource.Route, resource.Secret} {
		r := c.request(t)
		for k := range need {
			if k.Type == t && !c.names[k] {
				r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, k.Name)
				c.uncertain[k]++
			}
		}
		for k := range c.names {
			if k.Type == t && !need[k] {
				r.ResourceNamesUnsubscribe = append(r.ResourceNamesUnsubscribe, k.Name)
				delete(c.has, k)
				delete(c.refused, k)
			}
		}
		if len(r.ResourceNamesSubscribe)+len(r.ResourceNamesUnsubscribe) > 0 {
			c.push(t, r)
		}
	}
	c.names = need
}

// world is one client, and servers that take turns.
type world struct {
	t       testing.TB
	random  *rand.Rand
	config  *configuration
	client  *client
	session *Session
	now     time.Time
	// toClient are responses on their way.
	toClient []*discoveryv3.DeltaDiscoveryResponse
	// clusters are the client's sentWith of each of them.
	clusters []map[string]bool
	refusals map[string]int
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1_000_000, 0),
		config: &configuration{set: map[resource.Key]*Entry{}}, refusals: map[string]int{},
	}
	w.client = newClient(t, w.random, func(k resource.Key) *Entry { return w.config.set[k] })
	w.reconnect()
	return w
}

// reconnect connects the client to another server.
func (w *world) reconnect() {
	w.toClient, w.clusters = nil, nil
	w.config.ready = w.config.ready && w.random.IntN(3) > 0
	w.session = NewSession(w.config, Options{
		MaxBatch: 40, MaxNames: 1000, WarmTimeout: time.Minute, RetryRefused: time.Second, MaxRetryRefused: time.Minute,
	})
	w.client.connect()
}

func (w *world) set(k resource.Key, content string) {
	if content == "" {
		delete(w.config.set, k)
		delete(w.client.refused, k)
	} else {
		w.config.set[k] = NewEntry(plain(w.t, k.Type, k.Name, content), w.now)
	}
	if !w.config.ready {
		return
	}
	w.session.Changed(k)
	if k.Type != resource.Endpoint {
		w.session.Restructured()
	}
}

// change changes something at random.
func (w *world) change() {
	n := w.random.IntN(5)
	name := string(rune('a' + n))
	typ := resource.Types()[w.random.IntN(5)]
	content := fmt.Sprint(w.random.IntN(4))
	pick := func(word string) { content += fmt.Sprintf(" %s:%c", word, 'a'+w.random.IntN(5)) }
	switch typ {
	case resource.Listener:
		pick("route")
		pick("secret")
		pick("cluster")
	case resource.Route:
		pick("cluster")
		pick("cluster")
	case resource.Endpoint:
		name = "eds-" + name
	case resource.Cluster, resource.Secret:
	}
	if w.random.IntN(6) == 0 {
		content += " bad"
	}
	if w.random.IntN(5) == 0 && typ != resource.Endpoint {
		content = ""
	}
	w.set(resource.Key{Type: typ, Name: name}, content)
}

// step moves one message, and reports whether there was one.
func (w *world) step() bool {
	moves := []func() bool{w.deliverRequest, w.deliverResponse, w.produce}
	w.random.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
	for _, move := range moves {
		if move() {
			return true
		}
	}
	return false
}

func (w *world) deliverRequest() bool {
	if len(w.client.requests) == 0 {
		return false
	}
	r := w.client.requests[0]
	w.client.requests = w.client.requests[1:]
	if _, err := w.session.Request(r, w.now); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range w.session.TakeEvents().Refused {
		w.refusals[r.Resource.Type.String()+r.Resource.Name+r.Resource.Version]++
		if r.Resource.Body != nil && !bytes.Contains(r.Resource.Body, []byte("bad")) {
			w.t.Errorf("%s %s is good and was reported as refused", r.Resource.Type, r.Resource.Name)
		}
	}
	return true
}

func (w *world) deliverResponse() bool {
	if len(w.toClient) == 0 {
		return false
	}
	r := w.toClient[0]
	w.client.sentWith = w.clusters[0]
	w.toClient, w.clusters = w.toClient[1:], w.clusters[1:]
	w.client.respond(r)
	return true
}

func (w *world) produce() bool {
	next, _ := w.session.Next(w.now)
	if next == nil {
		return false
	}
	w.toClient = append(w.toClient, next.Message())
	w.clusters = append(w.clusters, w.good())
	out := map[string]int{}
	for _, r := range w.toClient {
		if out[r.TypeUrl]++; out[r.TypeUrl] > 1 {
			w.t.Errorf("Two responses of %s are outstanding", r.TypeUrl)
		}
	}
	return true
}

// good returns the clusters that the server has and that are good, and whether it has
// good endpoints for them.
func (w *world) good() map[string]bool {
	clusters := map[string]bool{}
	for k, e := range w.config.set {
		if k.Type == resource.Cluster && !bytes.Contains(e.Body, []byte("bad")) {
			endpoints := w.config.set[resource.Key{Type: resource.Endpoint, Name: "eds-" + k.Name}]
			clusters[k.Name] = endpoints != nil && !bytes.Contains(endpoints.Body, []byte("bad"))
		}
	}
	return clusters
}

// rest lets time pass until nothing more happens.
func (w *world) rest() {
	if !w.config.ready {
		w.config.ready = true
		w.session.Refresh()
	}
	for steps, idle := 0, 0; idle < 40; steps++ {
		if steps > 20_000 {
			w.t.Fatal("the session does not come to rest")
		}
		if w.step() || idle > 2 && w.client.warm(true) {
			idle = 0
			continue
		}
		idle++
		w.now = w.now.Add(10 * time.Second)
	}
}

// check compares what the client has with what was set, less what is bad.
func (w *world) check() {
	w.t.Helper()
	if !w.session.Quiet() {
		w.t.Error("the session is not quiet at rest")
	}
	for k, e := range w.config.set {
		has := w.client.has[k]
		subscribed := k.Type.Wildcard() || w.client.names[k]
		switch {
		case !subscribed:
			if has != nil {
				w.t.Errorf("%v is not subscribed to and there", k)
			}
		case bytes.Contains(e.Body, []byte("bad")):
			if has != nil && bytes.Equal(has.Resource.Value, e.Body) {
				w.t.Errorf("%v is bad and there", k)
			}
			if w.refusals[k.Type.String()+k.Name+e.Version] == 0 {
				w.t.Errorf("%v is bad and was not reported", k)
			}
		case has == nil:
			w.t.Errorf("%v is missing", k)
		case !bytes.Equal(has.Resource.Value, e.Body):
			w.t.Errorf("%v is %q, want %q", k, has.Resource.Value, e.Body)
		}
	}
	for k := range w.client.has {
		if w.config.set[k] == nil {
			w.t.Errorf("%v was removed and is there", k)
		}
	}
}

// At rest a client has what was set, less what it refused, whatever came between.
func TestConverges(t *testing.T) {
	for seed := range uint64(600) {
		w := newWorld(t, seed)
		for range 4 {
			for range 60 {
				switch n := w.random.IntN(60); {
				case n == 0:
					w.reconnect()
				case n < 10:
					w.change()
				case n == 10 && !w.config.ready:
					w.config.ready = true
					w.session.Refresh()
				default:
					w.step()
					w.now = w.now.Add(time.Duration(w.random.IntN(100)) * time.Millisecond)
				}
			}
			w.rest()
			w.check()
			if t.Failed() {
				t.Fatalf("seed %d; the server has %v", seed, slices.Collect(maps.Keys(w.config.set)))
			}
		}
		// A reconnection without a change moves nothing but what was refused.
		before := w.client.received
		w.config.ready = true
		clear(w.client.uncertain)
		w.reconnect()
		w.rest()
		bad := 0
		for _, e := range w.config.set {
			if bytes.Contains(e.Body, []byte("bad")) {
				bad++
			}
		}
		if got := w.client.received - before; bad == 0 && got > 0 {
			t.Fatalf("seed %d: %d resources came again after a reconnection without a change", seed, got)
		}
		w.check()
	}
}
