// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// versions counts the versions that the test writes.
var versions atomic.Int64

// worker is a client that does one random thing after the other.
type worker struct {
	w   *world
	r   *recorder
	id  int
	rng *rand.Rand
}

func (k worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		name := fmt.Sprintf("lb%d", k.rng.IntN(objects))
		// Operations run to their end, so their outcome is known.
		api := k.w.clients[k.rng.IntN(len(k.w.clients))].EpicV1().LoadBalancers(namespace)
		switch n := k.rng.IntN(10); {
		case n < 2:
			k.create(api, name)
		case n < 3:
			k.remove(api, name)
		case n < 5:
			k.get(api, name)
		default:
			k.update(api, name)
		}
		// A server that is down refuses at once.
		time.Sleep(time.Duration(k.rng.IntN(10)) * time.Millisecond)
	}
}

func nextVersion() string { return strconv.FormatInt(versions.Add(1), 10) }

// versionOf is the version of an object. A creation leaves it in an annotation,
// which a write of the status can't change; that leaves it in a field of the
// status.
func versionOf(lb *epicv1.LoadBalancer) string {
	if n := lb.Status.ObservedGeneration; n != 0 {
		return strconv.FormatInt(n, 10)
	}
	return lb.Annotations[versionAnnotation]
}

func (k worker) create(api typed.LoadBalancerInterface, name string) {
	version := nextVersion()
	target := intstr.FromInt32(8080)
	k.r.do(k.id, input{object: name, action: create, version: version}, func() (string, string, error) {
		lb, err := api.Create(context.Background(), &epicv1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{versionAnnotation: version}},
			Spec:       epicv1.LoadBalancerSpec{ServiceGroup: "group", PublicPorts: []epicv1.ServicePort{{Port: 80, TargetPort: &target}}},
		}, metav1.CreateOptions{})
		return "", revisionOf(lb), err
	})
}

func (k worker) remove(api typed.LoadBalancerInterface, name string) {
	k.r.do(k.id, input{object: name, action: remove}, func() (string, string, error) {
		return "", "", api.Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}

func (k worker) get(api typed.LoadBalancerInterface, name string) *epicv1.LoadBalancer {
	var lb *epicv1.LoadBalancer
	k.r.do(k.id, input{object: name, action: get}, func() (string, string, error) {
		var err error
		lb, err = api.Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			lb = nil
			return "", "", err
		}
		return versionOf(lb), "", nil
	})
	return lb
}

// update reads an object, changes its tunnels and writes them back, on the
// condition that nobody wrote it in the meantime.
func (k worker) update(api typed.LoadBalancerInterface, name string) {
	lb := k.get(api, name)
	if lb == nil {
		return
	}
	base, version := versionOf(lb), nextVersion()
	lb.Status.ObservedGeneration, _ = strconv.ParseInt(version, 10, 64)
	k.changeTunnels(lb)
	k.r.do(k.id, input{object: name, action: update, base: base, version: version}, func() (string, string, error) {
		out, err := api.UpdateStatus(context.Background(), lb, metav1.UpdateOptions{})
		return "", revisionOf(out), err
	})
}

// changeTunnels takes some tunnels away and adds some others, up to some
// hundred at once.
func (k worker) changeTunnels(lb *epicv1.LoadBalancer) {
	m := lb.Status.GUETunnelEndpoints
	if m == nil {
		m = map[string]epicv1.TunnelEndpoint{}
	}
	for node := range m {
		if k.rng.IntN(3) == 0 {
			delete(m, node)
		}
	}
	for range k.rng.IntN(4) {
		node := fmt.Sprintf("10.0.%d.%d", k.rng.IntN(4), 1+k.rng.IntN(200))
		pairs := map[string]epicv1.GUETunnelEndpoint{}
		for gw := range 1 + k.rng.IntN(8) {
			address := fmt.Sprintf("192.168.1.%d", 40+gw)
			pairs[address] = epicv1.GUETunnelEndpoint{EPICAddress: address}
		}
		if _, ok := m[node]; !ok {
			m[node] = epicv1.TunnelEndpoint{EPICEndpoints: pairs}
		}
	}
	lb.Status.GUETunnelEndpoints = m
}

func revisionOf(lb *epicv1.LoadBalancer) string {
	if lb == nil {
		return ""
	}
	return lb.ResourceVersion
}
