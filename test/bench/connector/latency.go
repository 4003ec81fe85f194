// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	namespace = "bench"
	// patience is how long a change may take at most.
	patience = time.Minute
	// step is the time between two looks.
	step = time.Millisecond
	// backendPort is where endpoints listen.
	backendPort = 18080
)

// backend is an endpoint: it answers everything, and knows when it did last.
type backend struct {
	address string
	last    atomic.Int64
	served  atomic.Int64
}

func (e *backend) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.last.Store(time.Now().UnixNano())
	e.served.Add(1)
	fmt.Fprintln(w, e.address)
}

func listen(ctx context.Context, address string) (*backend, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("%s:%d", address, backendPort))
	if err != nil {
		return nil, err
	}
	e := &backend{address: address}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return e, nil
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }

// backends are the two endpoints of the Service "backend".
var backends []*backend

// prepare makes the Service "backend" with two endpoints, and the Gateway "bench".
func (b *bench) prepare(ctx context.Context) error {
	for _, address := range []string{"10.93.255.1", "10.93.255.2"} {
		e, err := listen(ctx, address)
		if err != nil {
			return err
		}
		backends = append(backends, e)
	}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		service("backend"), slice("backend", 0, backends[0].address, backends[1].address), gateway("bench"), route("backend", "bench", "backend.example.com", "backend"),
	} {
		if err := b.local.Create(ctx, o); err != nil {
			return err
		}
	}
	address, err := b.address(ctx, "bench")
	if err != nil {
		return err
	}
	_, err = served(ctx, address, "backend.example.com", time.Now())
	return err
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: named(name), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(backendPort)}}}}
}

// slice is the nth of a Service, with ready endpoints.
func slice(of string, n int, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: named(fmt.Sprintf("%s-%d", of, n)), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](backendPort)}},
	}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: of}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	}
	return s
}

func gateway(name string) *gatewayv1.Gateway {
	g := &gatewayv1.Gateway{ObjectMeta: named(name)}
	g.Spec.GatewayClassName = "epic"
	g.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}
	return g
}

func route(name, parent, hostname, backend string) *gatewayv1.HTTPRoute {
	r := &gatewayv1.HTTPRoute{ObjectMeta: named(name)}
	r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(parent)}}
	r.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(hostname)}
	r.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(backend), Port: ptr.To[gatewayv1.PortNumber](80)},
	}}}}}
	return r
}

// address waits for a Gateway's address.
func (b *bench) address(ctx context.Context, name string) (string, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * step) {
		g := &gatewayv1.Gateway{}
		if err := b.local.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, g); err != nil {
			return "", err
		}
		if len(g.Status.Addresses) > 0 {
			return g.Status.Addresses[0].Value, nil
		}
	}
	return "", fmt.Errorf("the Gateway %s got no address", name)
}

// fresh opens a connection for each request, as most visitors do.
var fresh = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get makes a request and returns the status, 0 if there was no answer.
func get(ctx context.Context, address, host string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return 0
	}
	request.Host = host
	response, err := fresh.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// served waits for a request that is served, and returns how long that took from a time on.
func served(ctx context.Context, address, host string, from time.Time) (time.Duration, error) {
	status := 0
	for time.Since(from) < patience {
		if status = get(ctx, address, host); status == http.StatusOK {
			return time.Since(from), nil
		}
		time.Sleep(step)
	}
	return 0, fmt.Errorf("a request for %s at %s still gets %d", host, address, status)
}

// routes measures from the write of an HTTPRoute to the first request that it serves, and
// the same for the GWRoute that it becomes, written straight to EPIC.
func (b *bench) routes(ctx context.Context) error {
	address, err := b.address(ctx, "bench")
	if err != nil {
		return err
	}
	template := &epicv1.GWRoute{}
	local := &gatewayv1.HTTPRoute{}
	if err := b.local.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "backend"}, local); err != nil {
		return err
	}
	if err := b.epic.Get(ctx, client.ObjectKey{Namespace: b.account, Name: string(local.UID)}, template); err != nil {
		return err
	}
	var through, straight []time.Duration
	for i := range b.rounds {
		name := fmt.Sprintf("r%d", i)
		r := route(name, "bench", name+".example.com", "backend")
		from := time.Now()
		if err := b.local.Create(ctx, r); err != nil {
			return err
		}
		took, err := served(ctx, address, name+".example.com", from)
		if err != nil {
			return err
		}
		through = append(through, took)
		g := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: b.account, Name: "straight-" + name}}
		g.Spec = *template.Spec.DeepCopy()
		g.Spec.ClientRef.Name, g.Spec.ClientRef.UID = "straight-"+name, g.Name
		g.Spec.HTTP.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname("straight-" + name + ".example.com")}
		from = time.Now()
		if err := b.epic.Create(ctx, g); err != nil {
			return err
		}
		if took, err = served(ctx, address, "straight-"+name+".example.com", from); err != nil {
			return err
		}
		straight = append(straight, took)
		if err := errors.Join(b.local.Delete(ctx, r), b.epic.Delete(ctx, g)); err != nil {
			return err
		}
	}
	heading("From the write of a route to the first request that it serves")
	report("HTTPRoute, in the client cluster", through)
	report("GWRoute, straight to EPIC", straight)
	return nil
}

// unready measures from the write that an endpoint is not ready to the last request that it
// gets, in the client cluster and straight in EPIC.
func (b *bench) unready(ctx context.Context) error {
	address, err := b.address(ctx, "bench")
	if err != nil {
		return err
	}
	visiting, stop := context.WithCancel(ctx)
	defer stop()
	var failed atomic.Int64
	var visitors sync.WaitGroup
	defer func() {
		stop()
		visitors.Wait()
	}()
	for range 4 {
		visitors.Go(func() {
			for visiting.Err() == nil {
				if get(visiting, address, "backend.example.com") != http.StatusOK && visiting.Err() == nil {
					failed.Add(1)
				}
				time.Sleep(2 * step)
			}
		})
	}
	s := &discoveryv1.EndpointSlice{}
	if err := b.local.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "backend-0"}, s); err != nil {
		return err
	}
	var all []time.Duration
	for i := range max(1, b.rounds/2) {
		e := backends[i%2]
		set := func(ready bool) error {
			before := s.DeepCopy()
			for j := range s.Endpoints {
				if s.Endpoints[j].Addresses[0] == e.address {
					s.Endpoints[j].Conditions.Ready = &ready
				}
			}
			return b.local.Patch(ctx, s, client.MergeFrom(before))
		}
		from := time.Now()
		if err := set(false); err != nil {
			return err
		}
		time.Sleep(1500 * time.Millisecond)
		all = append(all, max(0, time.Unix(0, e.last.Load()).Sub(from)))
		if err := set(true); err != nil {
			return err
		}
		for served, end := e.served.Load(), time.Now().Add(patience); e.served.Load() == served; time.Sleep(step) {
			if time.Now().After(end) {
				return errors.New("an endpoint that is ready again gets no request")
			}
		}
	}
	heading("From the write that an endpoint is not ready to the last request that it gets")
	report("EndpointSlice, in the client cluster", all)
	fmt.Printf("\n%d requests were served during that, and %d failed.\n", backends[0].served.Load()+backends[1].served.Load(), failed.Load())
	return nil
}

// gateways measures from the write of a Gateway to the first request at its address, the
// start of its proxy included.
func (b *bench) gateways(ctx context.Context) error {
	var addresses, all []time.Duration
	for i := range max(1, b.rounds/10) {
		name := fmt.Sprintf("new-%d", i)
		if err := b.local.Create(ctx, route(name, name, name+".example.com", "backend")); err != nil {
			return err
		}
		g := gateway(name)
		from := time.Now()
		if err := b.local.Create(ctx, g); err != nil {
			return err
		}
		address, err := b.address(ctx, name)
		if err != nil {
			return err
		}
		addresses = append(addresses, time.Since(from))
		took, err := served(ctx, address, name+".example.com", from)
		if err != nil {
			return err
		}
		all = append(all, took)
		if err := b.local.Delete(ctx, g); err != nil {
			return err
		}
		for end := time.Now().Add(patience); ; time.Sleep(10 * step) {
			if err := b.local.Get(ctx, client.ObjectKeyFromObject(g), g); apierrors.IsNotFound(err) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("the Gateway %s does not go", name)
			}
		}
	}
	heading("From the write of a Gateway")
	report("to its address", addresses)
	report("to the first request, its Envoy's start included", all)
	return nil
}
