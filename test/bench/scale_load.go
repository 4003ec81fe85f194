// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// chunks is in how many parts the objects are made, by both sides in turns.
const chunks = 10

// load makes all objects: first EPIC's, each created and then given two tunnels
// by a write of its status; then custom resources that say the same, in the same
// two writes. It returns what reads of one namespace and of pages took when the
// first of the chunks was there.
func (s *scaled) load(ctx context.Context) (few []sideResult, err error) {
	created, tunnels := make([][]result, 2), make([][]result, 2)
	made := 0
	for chunk := range chunks {
		objects := make([]*epicv1.LoadBalancer, s.objects*(chunk+1)/chunks-made)
		if len(objects) == 0 {
			continue
		}
		for i, side := range []*side{s.epic.side, s.resources} {
			one, two, err := s.loadChunk(ctx, side, made, objects)
			if err != nil {
				return nil, err
			}
			created[i], tunnels[i] = append(created[i], one), append(tunnels[i], two)
			progress("  %s: %d of %d; %.0f creates, %.0f writes of status a second", side.name, made+len(objects), s.objects, one.rate, two.rate)
		}
		made += len(objects)
		if few == nil {
			if few, err = s.narrowReads(ctx, made); err != nil {
				return nil, err
			}
		}
	}
	c := newComparison(fmt.Sprintf("Writes by %d clients; median of %d parts of the objects, made in turns.", mostWriters, len(created[0])))
	for _, t := range []struct {
		name    string
		results [][]result
	}{{"create", created}, {"add two tunnels", tunnels}} {
		c.add(t.name, 1, sideResult{s.epic.side, middle(t.results[0])}, sideResult{s.resources, middle(t.results[1])})
	}
	return few, c.w.Flush()
}

// loadChunk makes the objects from number first on. Those of EPIC are left in
// objects, as the server answered; custom resources are made like these.
func (s *scaled) loadChunk(ctx context.Context, side *side, first int, objects []*epicv1.LoadBalancer) (create, tunnels result, err error) {
	statuses := make([]epicv1.ProxyStatus, len(objects))
	for i := range objects {
		if side == s.epic.side {
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

// writeAll writes each object once. Without all of them there is nothing to
// compare, so one failure is the end.
func (*scaled) writeAll(ctx context.Context, side *side, objects []*epicv1.LoadBalancer, write func(context.Context, *epicv1.LoadBalancer) error) (result, error) {
	r, err := withCPU(side.servers, func() result {
		return measureCount(ctx, mostWriters, len(objects), func(ctx context.Context, i int) error { return write(ctx, objects[i]) })
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && r.failures > 0 {
		err = fmt.Errorf("%d of %d writes to %s failed, one of them with: %w", r.failures, r.tries, side.name, r.failure)
	}
	return r, err
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

// twoTunnels is a status with tunnels from two of the tenant's nodes.
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
// object of EPIC's, without the copy of the status that only the API shows.
func (*scaled) alike(side *side, lb *epicv1.LoadBalancer) *epicv1.LoadBalancer {
	out := side.newLoadBalancer(lb.Name)
	out.Namespace, out.Labels, out.Annotations, out.Finalizers = lb.Namespace, lb.Labels, lb.Annotations, lb.Finalizers
	out.Spec = lb.Spec
	out.Spec.GUETunnelEndpoints, out.Spec.ProxyIfInfo = nil, nil
	out.Status = lb.Status
	return out
}

// describeStored says how large an average object is on each side.
func (s *scaled) describeStored(ctx context.Context) (string, error) {
	var texts []string
	for _, e := range []struct {
		name, prefix string
		etcd         *etcdServer
	}{
		{"EPIC's (protobuf)", "/epic/epic.acnodal.io/loadbalancers/", s.epic.etcd},
		{"custom resources (JSON)", "/registry/bench.acnodal.io/loadbalancers/", s.plain.etcd},
	} {
		size, err := objectSize(ctx, e.etcd.client, e.prefix)
		if err != nil {
			return "", err
		}
		texts = append(texts, fmt.Sprintf("%s %d bytes", e.name, size))
	}
	return strings.Join(texts, ", "), nil
}
