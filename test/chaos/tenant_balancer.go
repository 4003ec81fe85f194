// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// balanced is a load balancer with a TCP and a UDP port.
type balanced struct {
	name    string
	six     bool
	targets []string
	// backends serve it, in the order in which they were added.
	backends []*backend
}

// noClusters empties a load balancer's list of clusters, so it can be deleted.
var noClusters = []byte(`{"spec":{"upstream-clusters":null}}`)

const mergePatch = types.MergePatchType

// The ports that load balancers publish.
const (
	tcpPort = 8000
	udpPort = 5300
)

func (a *actor) createBalancer(ctx context.Context, name, group string) error {
	began := time.Now()
	lbs := a.api.LoadBalancers(a.namespace)
	var lb *epicv1.LoadBalancer
	err := a.write(ctx, "create load balancer "+name, func(ctx context.Context) (err error) {
		lb, err = lbs.Create(ctx, &epicv1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: epicv1.LoadBalancerSpec{
				ServiceGroup: group, UpstreamClusters: []string{clusterID},
				PublicPorts: []epicv1.ServicePort{{Name: "tcp", Port: tcpPort, Protocol: corev1.ProtocolTCP}, {Name: "udp", Port: udpPort, Protocol: corev1.ProtocolUDP}},
			},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			// An earlier try did it.
			lb, err = lbs.Get(ctx, name, metav1.GetOptions{})
		}
		return err
	})
	if err != nil {
		return err
	}
	object := fmt.Sprintf("%s/lb/%s#%d", a.namespace, name, a.id())
	b := &balanced{name: name, six: netip.MustParseAddr(lb.Spec.PublicAddress).Is6()}
	for via, port := range map[via]int{byTCP: tcpPort, byUDP: udpPort} {
		t := &target{id: fmt.Sprintf("%s %s", object, via), tenant: a.number, object: object, via: via, address: net.JoinHostPort(lb.Spec.PublicAddress, fmt.Sprint(port)), path: "/"}
		a.oracle.expect(t, began)
		b.targets = append(b.targets, t.id)
	}
	a.balancers[name] = b
	return a.addEndpoint(ctx, b)
}

// addEndpoint adds a backend to a load balancer: a TCP and a UDP endpoint.
func (a *actor) addEndpoint(ctx context.Context, b *balanced) error {
	server, err := a.backend()
	if err != nil {
		return err
	}
	for _, id := range b.targets {
		a.oracle.adding(id, server.name, time.Now())
	}
	pod := world.PodAddress
	if b.six {
		pod = world.PodAddress6
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		err := a.write(ctx, "add an endpoint to load balancer "+b.name, func(ctx context.Context) error {
			_, err := a.api.RemoteEndpoints(a.namespace).Create(ctx, &epicv1.RemoteEndpoint{
				ObjectMeta: metav1.ObjectMeta{Name: endpointName(server, protocol), Labels: map[string]string{epic.OwningLoadBalancerLabel: b.name}},
				Spec:       epicv1.RemoteEndpointSpec{Cluster: clusterID, Address: pod, NodeAddress: a.nodeAddress, Port: epicv1.EndpointPort{Port: server.port, Protocol: protocol}},
			}, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				err = nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range b.targets {
		a.oracle.added(id, server.name, time.Now())
	}
	b.backends = append(b.backends, server)
	return nil
}

func endpointName(b *backend, protocol corev1.Protocol) string {
	return b.name + "-" + strings.ToLower(string(protocol))
}

// removeEndpoint removes one of a load balancer's backends.
func (a *actor) removeEndpoint(ctx context.Context, b *balanced, which int) error {
	server := b.backends[which]
	for _, id := range b.targets {
		a.oracle.removing(id, server.name, time.Now())
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		err := a.write(ctx, "remove an endpoint from load balancer "+b.name, func(ctx context.Context) error {
			err := a.api.RemoteEndpoints(a.namespace).Delete(ctx, endpointName(server, protocol), metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				err = nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range b.targets {
		a.oracle.removed(id, server.name, time.Now())
	}
	b.backends = append(b.backends[:which:which], b.backends[which+1:]...)
	return nil
}

// replaceEndpoints adds a backend and removes all others.
func (a *actor) replaceEndpoints(ctx context.Context, b *balanced) error {
	if err := a.addEndpoint(ctx, b); err != nil {
		return err
	}
	for len(b.backends) > 1 {
		if err := a.removeEndpoint(ctx, b, 0); err != nil {
			return err
		}
	}
	return nil
}

// deleteBalancer deletes a load balancer with its endpoints, and waits until it is gone.
func (a *actor) deleteBalancer(ctx context.Context, name string) error {
	b, lbs := a.balancers[name], a.api.LoadBalancers(a.namespace)
	a.leave(b.targets, b.backends)
	// Its clusters go first, because one with clusters can't be deleted.
	err := a.write(ctx, "empty load balancer "+name, func(ctx context.Context) error {
		_, err := lbs.Patch(ctx, name, mergePatch, noClusters, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := a.remove(ctx, "load balancer "+name, func(ctx context.Context) error { return lbs.Delete(ctx, name, metav1.DeleteOptions{}) }); err != nil {
		return err
	}
	a.left(b.targets, b.backends)
	delete(a.balancers, name)
	return a.gone(ctx, "load balancer "+name, func(ctx context.Context) error {
		_, err := lbs.Get(ctx, name, metav1.GetOptions{})
		return err
	})
}

// leave notes that backends are about to be removed from targets, and left that they are.
func (a *actor) leave(targets []string, backends []*backend) {
	for _, id := range targets {
		for _, b := range backends {
			a.oracle.removing(id, b.name, time.Now())
		}
	}
}

func (a *actor) left(targets []string, backends []*backend) {
	for _, id := range targets {
		for _, b := range backends {
			a.oracle.removed(id, b.name, time.Now())
		}
	}
}

// remove deletes an object.
func (a *actor) remove(ctx context.Context, what string, f func(context.Context) error) error {
	return a.write(ctx, "delete "+what, func(ctx context.Context) error {
		err := f(ctx)
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return err
	})
}

// gone waits until an object is no longer there.
func (a *actor) gone(ctx context.Context, what string, get func(context.Context) error) error {
	return a.write(ctx, "wait until "+what+" is gone", func(ctx context.Context) error {
		err := get(ctx)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return errStillThere
		}
		return err
	})
}
