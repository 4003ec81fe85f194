// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// scale is how much there is, and how much of it changes.
type scale struct {
	routes, endpoints, rate int
	length                  time.Duration
}

const (
	// perSlice is the number of endpoints of a Service, all in one slice.
	perSlice = 20
	// clockTick is the unit of the times in /proc/PID/stat.
	clockTick = 10 * time.Millisecond
)

// usage is what the connector has used up to a moment.
type usage struct {
	cpu    time.Duration
	memory int64
	writes map[string]float64
}

func (u *usage) sum() float64 {
	sum := 0.0
	for _, n := range u.writes {
		sum += n
	}
	return sum
}

// usage reads the connector's processor time, memory and writes to EPIC.
func (b *bench) usage(ctx context.Context) (*usage, error) {
	u := &usage{writes: map[string]float64{}}
	stat, err := os.ReadFile("/proc/" + b.pid + "/stat")
	if err != nil {
		return nil, fmt.Errorf("EPIC_CONNECTOR_PID: %w", err)
	}
	// The second field is a name in brackets, which may have spaces in it.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return nil, errors.New("/proc/PID/stat is not as it should be")
	}
	var numbers []int64
	for _, i := range []int{11, 12, 21} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	u.cpu = time.Duration(numbers[0]+numbers[1]) * clockTick
	u.memory = numbers[2] * int64(os.Getpagesize())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.metrics, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, "epic_connector_writes_total{") {
			continue
		}
		name, value, _ := strings.Cut(line, "} ")
		if u.writes[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// parallel does something for each number below count, some at once.
func parallel(count int, do func(i int) error) error {
	var group sync.WaitGroup
	next, failed := make(chan int), make(chan error, 8)
	for range cap(failed) {
		group.Go(func() {
			var err error
			for i := range next {
				if err == nil {
					err = do(i)
				}
			}
			failed <- err
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	group.Wait()
	close(failed)
	var all []error
	for err := range failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// atScale measures the connector with many routes and endpoints, of which some change all
// the time.
func (b *bench) atScale(ctx context.Context) error {
	services := b.scale.endpoints / perSlice
	if err := b.local.Create(ctx, gateway("scale")); err != nil {
		return err
	}
	begin := time.Now()
	slices := make([]*discoveryv1.EndpointSlice, services)
	if err := parallel(services, func(i int) error {
		name := fmt.Sprintf("scale-%d", i)
		var addresses []string
		for j := range perSlice {
			addresses = append(addresses, fmt.Sprintf("10.93.%d.%d", i/12, 1+(i%12)*perSlice+j))
		}
		slices[i] = slice(name, 0, addresses...)
		return errors.Join(b.local.Create(ctx, service(name)), b.local.Create(ctx, slices[i]))
	}); err != nil {
		return err
	}
	routes := make([]*gatewayv1.HTTPRoute, b.scale.routes)
	if err := parallel(b.scale.routes, func(i int) error {
		routes[i] = route(fmt.Sprintf("scale-%d", i), "scale", fmt.Sprintf("r%d.scale.example.com", i), fmt.Sprintf("scale-%d", i%services))
		return b.local.Create(ctx, routes[i])
	}); err != nil {
		return err
	}
	written := time.Since(begin)
	if err := b.published(ctx, b.scale.routes, services); err != nil {
		return err
	}
	fmt.Printf("\n%d routes and %d endpoints were written in %s and published %s after the first write.\n",
		b.scale.routes, services*perSlice, written.Round(time.Second), time.Since(begin).Round(time.Second))
	// What the start left to do is done.
	time.Sleep(20 * time.Second)
	before, err := b.usage(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	changes := 0
	ticker := time.NewTicker(time.Second / time.Duration(b.scale.rate))
	defer ticker.Stop()
	var writing sync.WaitGroup
	failed := make(chan error, 1)
	for ; time.Since(started) < b.scale.length; changes++ {
		<-ticker.C
		i := changes
		writing.Go(func() {
			if err := b.change(ctx, i, slices, routes); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	length := time.Since(started)
	writing.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return err
	}
	after, err := b.settled(ctx)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\n%d changes in %s, %.1f a second (load %s)\n\n", changes, length.Round(time.Second), float64(changes)/length.Seconds(), strings.Fields(string(load))[0])
	fmt.Printf("| what | measured | aim |\n| --- | ---: | ---: |\n")
	fmt.Printf("| the connector's processor time | %.2f cores | 0.2 |\n", (after.cpu-before.cpu).Seconds()/length.Seconds())
	fmt.Printf("| its memory | %d MB | 200 |\n", after.memory/1e6)
	fmt.Printf("| writes to EPIC for each change | %.3f | 1 |\n", (after.sum()-before.sum())/float64(changes))
	for name, n := range after.writes {
		if d := n - before.writes[name]; d > 0 {
			fmt.Fprintf(os.Stderr, "%s}: %.0f\n", name, d)
		}
	}
	return nil
}

// change makes the nth change: four of five are of an endpoint, as pods come and go, and the
// others of a route. Neighbors are of different objects, so none swallows another.
func (b *bench) change(ctx context.Context, n int, slices []*discoveryv1.EndpointSlice, routes []*gatewayv1.HTTPRoute) error {
	if n%5 == 4 {
		r := routes[n/5%len(routes)]
		before := r.DeepCopy()
		r.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("c%d-%s", n, r.Name))}
		return b.local.Patch(ctx, r, client.MergeFrom(before))
	}
	s := slices[(n-n/5)%len(slices)]
	before := s.DeepCopy()
	e := &s.Endpoints[n%len(s.Endpoints)]
	e.Conditions.Ready = ptr.To(!ptr.Deref(e.Conditions.Ready, true))
	return b.local.Patch(ctx, s, client.MergeFrom(before))
}

// published waits until EPIC has as many routes and slices.
func (b *bench) published(ctx context.Context, routes, slices int) error {
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Second) {
		var r epicv1.GWRouteList
		var s epicv1.GWEndpointSliceList
		if err := errors.Join(b.epic.List(ctx, &r, client.InNamespace(b.account)), b.epic.List(ctx, &s, client.InNamespace(b.account))); err != nil {
			return err
		}
		if len(r.Items) >= routes && len(s.Items) >= slices {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("EPIC has %d routes and %d slices", len(r.Items), len(s.Items))
		}
	}
}

// settled waits until the connector writes no more, and returns what it has used.
func (b *bench) settled(ctx context.Context) (*usage, error) {
	last, err := b.usage(ctx)
	for range 60 {
		if err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second)
		var now *usage
		if now, err = b.usage(ctx); err == nil && now.sum() == last.sum() {
			return now, nil
		}
		last = now
	}
	return nil, errors.Join(err, errors.New("the connector does not come to rest"))
}
