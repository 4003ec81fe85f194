// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// watchedPlane tells when a service is in the map.
type watchedPlane struct {
	plane
	there func(endpoint netip.Addr)
}

// Services implements Plane.
func (p watchedPlane) Services() dataplane.Services {
	return watchedServices{p.plane.Services(), p.there}
}

type watchedServices struct {
	dataplane.Services
	there func(endpoint netip.Addr)
}

// Put implements dataplane.Services.
func (s watchedServices) Put(all ...dataplane.Service) error {
	err := s.Services.Put(all...)
	for _, v := range all {
		s.there(v.Endpoint.Addr())
	}
	return err
}

// arrivals are when endpoints came into the map.
type arrivals struct {
	mu  sync.Mutex
	all map[netip.Addr]chan time.Time
}

func (a *arrivals) of(endpoint netip.Addr) chan time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.all[endpoint]
	if c == nil {
		c = make(chan time.Time, 1)
		a.all[endpoint] = c
	}
	return c
}

func (a *arrivals) there(endpoint netip.Addr) {
	select {
	case a.of(endpoint) <- time.Now():
	default:
	}
}

// BenchmarkDelay is the time from a write of the API to the map of services, one
// change after the other and at 200 changes a second: "ms" from when the write is
// sent, "ms-after" from when the API has answered it. Each change gives a load
// balancer's endpoint another address.
func BenchmarkDelay(b *testing.B) {
	r := newRig(b)
	const objects = 200
	came := &arrivals{all: map[netip.Addr]chan time.Time{}}
	r.config.Plane = watchedPlane{plane{r.plane, r.plane.Observer()}, came.there}
	var pods []proxies.Interface
	for i := range objects {
		name := fmt.Sprintf("web%d", i)
		lb := r.balancer(name)
		r.tunnel(name)
		pods = append(pods, r.pod(lb, name+"-1", 10+i))
	}
	r.pods.list = pods
	r.run()
	r.until("all services", func() error {
		if n, _ := r.plane.Services().List(); len(n) != objects {
			return fmt.Errorf("%d", len(n))
		}
		return nil
	})
	changes := 0
	var inUse [objects]sync.Mutex
	type delay struct{ sent, answered time.Duration }
	// change returns a function, because the benchmark's own changes go at once.
	change := func() func() (delay, error) {
		changes++
		name := fmt.Sprintf("web%d", changes%objects)
		address := netip.AddrFrom4([4]byte{10, byte(1 + changes>>16), byte(changes >> 8), byte(changes)})
		// Of two changes of one object at once the first might never be programmed.
		object := &inUse[changes%objects]
		return func() (delay, error) {
			object.Lock()
			defer object.Unlock()
			sent := time.Now()
			body := fmt.Sprintf(`{"spec":{"address":%q}}`, address)
			_, err := r.client.EpicV1().RemoteEndpoints(account).Patch(b.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
			if err != nil {
				return delay{}, err
			}
			answered := time.Now()
			select {
			case at := <-came.of(address):
				return delay{at.Sub(sent), max(at.Sub(answered), 0)}, nil
			case <-time.After(time.Minute):
				return delay{}, fmt.Errorf("%s did not come", address)
			}
		}
	}
	report := func(b *testing.B, all []delay) {
		for unit, of := range map[string]func(delay) time.Duration{
			"ms": func(d delay) time.Duration { return d.sent }, "ms-after": func(d delay) time.Duration { return d.answered },
		} {
			var sorted []time.Duration
			for _, d := range all {
				sorted = append(sorted, of(d))
			}
			slices.Sort(sorted)
			b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds())/1000, unit+"-p50")
			b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds())/1000, unit+"-p99")
		}
	}
	b.Run("OneByOne", func(b *testing.B) {
		var all []delay
		for b.Loop() {
			d, err := change()()
			r.must(nil, err)
			all = append(all, d)
		}
		report(b, all)
	})
	b.Run("200ASecond", func(b *testing.B) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		var all []delay
		begin := time.Now()
		tick := time.NewTicker(time.Second / 200)
		defer tick.Stop()
		for b.Loop() {
			<-tick.C
			do := change()
			wg.Go(func() {
				d, err := do()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					b.Error(err)
				}
				all = append(all, d)
			})
		}
		wg.Wait()
		b.ReportMetric(float64(len(all))/time.Since(begin).Seconds(), "changes/s")
		report(b, all)
	})
}
