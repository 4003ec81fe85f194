// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	// chunks is in how many parts the objects are made.
	chunks = 10
	// loaders is the number of clients that create them concurrently: enough to keep
	// two cores busy although each write waits for a disk.
	loaders = 96
)

// load makes all objects. The first tenth and the last are made by writes that
// are measured: EPIC's, each created and then given two tunnels by a write of its
// status; then custom resources that say the same, in the same two writes. Those
// between are only to be there, and are made in the quickest way. load returns
// what reads of one namespace and of pages took when the first tenth was there.
func (s *scaled) load(ctx context.Context) (few []sideResult, err error) {
	c := newComparison(fmt.Sprintf("Writes by %d clients: of the first tenth of the objects, and of the last, when all others are there.", loaders))
	made := 0
	for chunk := range chunks {
		objects := make([]*epicv1.LoadBalancer, s.objects*(chunk+1)/chunks-made)
		if 0 < chunk && chunk < chunks-1 {
			if err := s.fill(ctx, made, objects); err != nil {
				return nil, err
			}
			made += len(objects)
			progress("  %d of %d are there", made, s.objects)
			continue
		}
		var created, tunnels []sideResult
		for _, side := range []*side{s.epic.side, s.resources} {
			one, two, err := s.loadChunk(ctx, side, made, objects)
			if err != nil {
				return nil, err
			}
			created, tunnels = append(created, sideResult{side, one}), append(tunnels, sideResult{side, two})
			progress("  %s: %d of %d; %.0f creates, %.0f writes of status a second", side.name, made+len(objects), s.objects, one.rate, two.rate)
		}
		made += len(objects)
		which := "first"
		if chunk > 0 {
			which = "last"
		}
		c.add("create, "+which, 1, created...)
		c.add("add two tunnels, "+which, 1, tunnels...)
		if chunk == 0 {
			if few, err = s.narrowReads(ctx, made); err != nil {
				return nil, err
			}
		}
	}
	return few, c.w.Flush()
}

// loadChunk makes the objects from number first on. Those of EPIC are left in
// objects, as the server answered; custom resources are made like these.
func (s *scaled) loadChunk(ctx context.Context, side *side, first int, objects []*epicv1.LoadBalancer) (create, tunnels result, err error) {
	statuses := make([]epicv1.ProxyStatus, len(objects))
	for i := range objects {
		if side.api == epicAPI {
			objects[i] = s.wanted(side, first+i)
			statuses[i] = twoTunnels(first + i)
		} else {
			statuses[i] = objects[i].Status
			objects[i] = s.alike(side, objects[i])
		}
	}
	create, err = s.writeAll(ctx, side, objects, func(ctx context.Context, lb *epicv1.LoadBalancer) error {
		return side.create(ctx, lb.Namespace, "loadbalancers", lb)
	})
	if err != nil {
		return create, tunnels, fmt.Errorf("create: %w", err)
	}
	for i, lb := range objects {
		// The server assigns the quota slot, where there is one.
		statuses[i].QuotaPlace = max(lb.Status.QuotaPlace, statuses[i].QuotaPlace)
		lb.Status = statuses[i]
	}
	tunnels, err = s.writeAll(ctx, side, objects, func(ctx context.Context, lb *epicv1.LoadBalancer) error {
		return side.updateStatus(ctx, lb.Namespace, "loadbalancers", lb.Name, lb)
	})
	if err != nil {
		return create, tunnels, fmt.Errorf("write the status: %w", err)
	}
	return create, tunnels, nil
}

// writeAll writes each object once, and measures that. What failed counts as
// failed, and is written again afterwards, because all objects have to be there.
func (*scaled) writeAll(ctx context.Context, side *side, objects []*epicv1.LoadBalancer, write func(context.Context, *epicv1.LoadBalancer) error) (result, error) {
	var mu sync.Mutex
	var again []*epicv1.LoadBalancer
	r, err := withCPU(side.servers, func() result {
		return measureCount(ctx, loaders, len(objects), func(ctx context.Context, i int) error {
			err := write(ctx, objects[i])
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				again = append(again, objects[i])
			}
			return err
		})
	})
	if err = errors.Join(err, ctx.Err()); err != nil || r.failures == 0 {
		return r, err
	}
	progress("  %s: %d of %d writes failed and come again, one of them after: %v", side.name, r.failures, r.tries, r.failure)
	return r, parallel(ctx, 1, len(again), func(ctx context.Context, i int) error { return repair(ctx, side, again[i], write) })
}

// repair writes an object of which it is not known whether a write arrived.
func repair(ctx context.Context, side *side, obj *epicv1.LoadBalancer, write func(context.Context, *epicv1.LoadBalancer) error) error {
	there := &epicv1.LoadBalancer{}
	err := side.get(ctx, obj.Namespace, "loadbalancers", obj.Name, there)
	switch {
	case apierrors.IsNotFound(err):
		return write(ctx, obj)
	case err != nil:
		return err
	case obj.ResourceVersion == "":
		// It was created, and only the answer is missing.
		*obj = *there
		return nil
	}
	there.Status = obj.Status
	*obj = *there
	return write(ctx, obj)
}

// wanted is what a tenant asks for.
func (s *scaled) wanted(side *side, i int) *epicv1.LoadBalancer {
	namespace, name := s.place(i)
	lb := side.newLoadBalancer(name)
	lb.Namespace = namespace
	target := intstr.FromInt32(8080)
	lb.Spec = epicv1.LoadBalancerSpec{
		ServiceGroup: groupName, DisplayName: fmt.Sprintf("service-%d", i),
		PublicPorts: []epicv1.ServicePort{{Port: 443, Protocol: "TCP", Name: "https", TargetPort: &target, NodePort: 30390}},
	}
	return lb
}

// twoTunnels is a status with tunnels from two of the client nodes.
func twoTunnels(i int) epicv1.ProxyStatus {
	status := epicv1.ProxyStatus{
		GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{},
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{{
			Type: "Ready", Status: metav1.ConditionTrue, Reason: "Programmed", Message: "The proxies run.",
			ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(time.Now().Truncate(time.Second)),
		}},
	}
	for node := range 2 {
		gateway := fmt.Sprintf("192.168.%d.%d", i/200%200, i%200+1)
		t := tunnel(gateway, 0)
		status.GUETunnelEndpoints[fmt.Sprintf("172.%d.%d.%d", 16+node, i/eachNamespace/250, i/eachNamespace%250+1)] = t
	}
	return status
}

// alike is a custom resource with the labels, the spec and the status of an
// object of EPIC, without the copy of the status that only the API shows.
func (*scaled) alike(side *side, lb *epicv1.LoadBalancer) *epicv1.LoadBalancer {
	out := side.newLoadBalancer(lb.Name)
	out.Namespace, out.Labels, out.Annotations, out.Finalizers = lb.Namespace, lb.Labels, lb.Annotations, lb.Finalizers
	out.Spec = lb.Spec
	out.Spec.GUETunnelEndpoints, out.Spec.ProxyIfInfo = nil, nil
	out.Status = lb.Status
	return out
}

// describeStored describes how large an average object is on each side.
func (s *scaled) describeStored(ctx context.Context) (string, error) {
	var texts []string
	for _, e := range []struct {
		name, prefix string
		etcd         *etcdServer
	}{
		{"EPIC's (protobuf)", "/epic/epic.acnodal.io/loadbalancers/", s.epic.etcd},
		{"custom resources (JSON)", storedResources, s.plain.etcd},
	} {
		size, err := objectSize(ctx, e.etcd.client, e.prefix)
		if err != nil {
			return "", err
		}
		texts = append(texts, fmt.Sprintf("%s %d bytes", e.name, size))
	}
	return strings.Join(texts, ", "), nil
}
