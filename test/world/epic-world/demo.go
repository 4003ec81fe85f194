// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/proxies"
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
	kubeconfig, data, dir, bin string

	config    *rest.Config
	client    versioned.Interface
	lab       *netlab.Lab
	world     *world.World
	processes []*world.Process
	mounts    []string
}

func (d *demo) start(ctx context.Context) error {
	if err := netlab.Possible(); err != nil {
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
	proxy, err := d.proxy(ctx, lb)
	if err != nil {
		return err
	}
	if err := d.programs(ctx, proxy); err != nil {
		return err
	}
	if err := d.pod(ctx); err != nil {
		return err
	}
	return d.show(ctx, lb)
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

// proxy stands for Envoy: it passes requests on to the load balancer's endpoints.
func (d *demo) proxy(ctx context.Context, lb *epicv1.LoadBalancer) (*world.Proxy, error) {
	address, err := netip.ParseAddr(lb.Spec.PublicAddress)
	if err != nil {
		return nil, fmt.Errorf("load balancer %s: spec.public-address: %w", lb.Name, err)
	}
	proxy, err := d.world.Proxy(proxies.LoadBalancer, namespace, sample, "demo-proxy", address)
	if err != nil {
		return nil, err
	}
	if err := proxy.Place(ctx, d.client, world.GatewayAddress); err != nil {
		return nil, err
	}
	backends := &backends{client: d.client, namespace: namespace, loadBalancer: sample}
	return proxy, world.ServeHTTP(ctx, proxy.Namespace, publicHost(lb), backends.forwarder(proxy.Namespace))
}

// pod is the tenant's service, and the API object that says where it is.
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
	rep := &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "demo",
			Labels: map[string]string{"epic.acnodal.io/owning-loadbalancer": sample},
		},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: cluster, Address: world.PodAddress, NodeAddress: world.NodeAddress,
			Port: epicv1.EndpointPort{Port: 8080, Protocol: "TCP"},
		},
	}
	_, err := d.client.EpicV1().RemoteEndpoints(namespace).Create(ctx, rep, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// show sends a visitor's request, and shows what both ends of the tunnel say.
func (d *demo) show(ctx context.Context, lb *epicv1.LoadBalancer) error {
	url := "http://" + publicHost(lb)
	var body string
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		for _, p := range d.processes {
			if err := p.Err(); err != nil {
				return false, err
			}
		}
		var err error
		body, err = get(ctx, d.world.Visitor, url)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("no answer from %s; the logs are in %s: %w", url, d.dir, err)
	}
	// For commands that are to be run there.
	if err := os.WriteFile(d.in("visitor"), []byte(d.world.Visitor.Name+"\n"), 0o600); err != nil {
		return err
	}
	fmt.Printf("\nA visitor asks %s. The proxy passes it through the tunnel, and the answer is:\n  %s", url, body)
	for _, end := range d.ends() {
		fmt.Printf("\n%s\n", end.title)
		cmd := exec.CommandContext(ctx, d.program("epic-node"), "status", "--status-socket", end.socket)
		cmd.Stdout, cmd.Stderr = &indent{to: os.Stdout}, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("epic-node status: %w", err)
		}
	}
	fmt.Printf(usage, url, d.world.Visitor.Name, d.ends()[0].socket)
	return nil
}

const usage = `
Ask again:
  ip netns exec %[2]s curl %[1]s
Add an endpoint, and watch the load balancer send requests there too:
  kubectl apply -f - <<END
  apiVersion: epic.acnodal.io/v1
  kind: RemoteEndpoint
  metadata:
    namespace: ` + namespace + `
    name: another
    labels: {epic.acnodal.io/owning-loadbalancer: ` + sample + `}
  spec: {cluster: ` + cluster + `, address: ` + world.PodAddress + `, node-address: ` + world.NodeAddress + `, port: {port: 8081, protocol: TCP}}
  END
Watch the tunnels:
  kubectl -n ` + namespace + ` get lb ` + sample + ` -o jsonpath='{.status.gue-tunnel-endpoints}'
  epic-node status --status-socket %[3]s
`

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
	errs = append(errs, d.unmount())
	if d.lab != nil {
		errs = append(errs, d.lab.Close())
	}
	return errors.Join(errs...)
}

func (d *demo) program(name string) string { return filepath.Join(d.bin, name) }

func publicHost(lb *epicv1.LoadBalancer) string {
	return fmt.Sprintf("%s:%d", lb.Spec.PublicAddress, lb.Spec.PublicPorts[0].Port)
}

func get(ctx context.Context, n *netlab.Namespace, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := world.Client(n).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), nil
}
