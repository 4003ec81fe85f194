// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// The sample load balancer, and the account that it belongs to.
const (
	account   = "root"
	namespace = "epic-root"
	sample    = "sample-acnodal"
	cluster   = "demo"
)

// patience is how long any one thing may take before something is wrong.
const patience = time.Minute

type demo struct {
	kubeconfig, data, dir, bin, envoy string
	// loopback is without root.
	loopback bool

	config    *rest.Config
	client    versioned.Interface
	lab       *netlab.Lab
	world     *world.World
	processes []*world.Process
	mounts    []string
}

func (d *demo) start(ctx context.Context) error {
	if err := netlab.Possible(); err != nil && !d.loopback {
		return err
	}
	var err error
	if d.config, err = clientcmd.BuildConfigFromFlags("", d.kubeconfig); err != nil {
		return err
	}
	if d.client, err = versioned.NewForConfig(d.config); err != nil {
		return err
	}
	if err := d.sweep(); err != nil {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if d.loopback {
		return d.laptop(ctx)
	}
	d.lab = netlab.New()
	if err := d.note("lab", d.lab.Prefix()); err != nil {
		return err
	}
	if d.world, err = world.New(d.lab, 1); err != nil {
		return err
	}
	lb, err := d.loadBalancer(ctx)
	if err != nil {
		return err
	}
	if err := d.programs(ctx); err != nil {
		return err
	}
	if err := d.pod(ctx); err != nil {
		return err
	}
	if err := d.show(ctx, lb); err != nil {
		return err
	}
	return d.gateway(ctx)
}

// loadBalancer is the sample, which lists the demonstration's cluster.
func (d *demo) loadBalancer(ctx context.Context) (*epicv1.LoadBalancer, error) {
	lbs := d.client.EpicV1().LoadBalancers(namespace)
	var lb *epicv1.LoadBalancer
	// The controller writes to it as well.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() (err error) {
		if lb, err = lbs.Get(ctx, sample, metav1.GetOptions{}); err != nil || slices.Contains(lb.Spec.UpstreamClusters, cluster) {
			return err
		}
		lb.Spec.UpstreamClusters = append(lb.Spec.UpstreamClusters, cluster)
		lb, err = lbs.Update(ctx, lb, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the sample load balancer: %w", err)
	}
	return lb, nil
}

// pod is the tenant's service, and the API object that reports where it is.
func (d *demo) pod(ctx context.Context) error {
	pod := d.world.Tenants[0].Pod
	for _, port := range []string{"8080", "8081"} {
		err := world.ServeHTTP(ctx, pod, ":"+port, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			fmt.Fprintf(answer, "Hello from the pod %s:%s; you came from %s.\n", world.PodAddress, port, request.RemoteAddr) //nolint:gosec // no browser reads it
		}))
		if err != nil {
			return err
		}
	}
	return d.endpoint(ctx, epicv1.RemoteEndpointSpec{
		Cluster: cluster, Address: world.PodAddress, NodeAddress: world.NodeAddress,
		Port: epicv1.EndpointPort{Port: 8080, Protocol: "TCP"},
	})
}

// endpoint makes the API object that reports where a pod is, in place of one that an
// earlier run left.
func (d *demo) endpoint(ctx context.Context, spec epicv1.RemoteEndpointSpec) error {
	rep := &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "demo",
			Labels: map[string]string{"epic.acnodal.io/owning-loadbalancer": sample},
		},
		Spec: spec,
	}
	reps := d.client.EpicV1().RemoteEndpoints(namespace)
	_, err := reps.Create(ctx, rep, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	has, err := reps.Get(ctx, rep.Name, metav1.GetOptions{})
	if err != nil || has.Spec == spec {
		return err
	}
	if err := reps.Delete(ctx, rep.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	_, err = reps.Create(ctx, rep, metav1.CreateOptions{})
	return err
}

// wait waits until the context ends or a program does.
func (d *demo) wait(ctx context.Context) error {
	ended := make(chan error, len(d.processes))
	for _, p := range d.processes {
		go func() {
			<-p.Exited()
			ended <- errors.Join(fmt.Errorf("a program has ended; its log is %s", p.Log), p.Err())
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// close ends the programs and removes the world.
func (d *demo) close() error {
	var errs []error
	for i := len(d.processes) - 1; i >= 0; i-- {
		errs = append(errs, d.processes[i].Stop())
	}
	errs = append(errs, d.endProxies(), d.unmount())
	if d.lab != nil {
		errs = append(errs, d.lab.Close())
	}
	return errors.Join(errs...)
}

func (d *demo) program(name string) string { return filepath.Join(d.bin, name) }
