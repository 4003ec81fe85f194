// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/pki"
)

const (
	systemNamespace = "epic-system"
	serviceName     = "epic-apiserver"
)

// aggregate is an EPIC API server that extends a plane, with an etcd of its own.
type aggregate struct {
	plane *plane
	etcd  *etcdServer
	epic  *process
	// side is the API as clients see it, through the kube-apiserver; direct is
	// the same without that.
	side, direct *side
	// config is that of direct.
	config *rest.Config
}

func (p *plane) startAggregate(ctx context.Context, b binaries) (_ *aggregate, err error) {
	a := &aggregate{plane: p}
	defer func() {
		if err != nil {
			a.stop()
		}
	}()
	if a.etcd, err = startEtcd(ctx, b.Etcd, p.dir, "epic-etcd"); err != nil {
		return nil, err
	}
	store, err := pki.Open(ctx, filepath.Join(p.dir, "epic-pki"),
		[]string{"localhost", serviceName + "." + systemNamespace + ".svc"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(store.CAFile())
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	cert, key := store.ServingFiles()
	a.epic, err = startProcess(ctx, p.dir, "epic-apiserver", b.epic,
		"--etcd-servers", a.etcd.endpoint, "--kubeconfig", p.kubeconfig, "--bind-address=127.0.0.1", "--secure-port", fmt.Sprint(port),
		"--tls-cert-file", cert, "--tls-private-key-file", key)
	if err != nil {
		return nil, err
	}
	// The administrator's certificate is the plane's, whose authority the server
	// has learned from the plane.
	a.config = rest.CopyConfig(p.config)
	a.config.Host = fmt.Sprintf("https://127.0.0.1:%d", port)
	a.config.CAFile, a.config.CAData = "", ca
	if err := a.epic.await(ctx, func() error { return readyz(ctx, a.config) }); err != nil {
		return nil, err
	}
	if err := a.register(ctx, port, ca); err != nil {
		return nil, err
	}
	if a.side, err = newSide("EPIC", epicAPI, p.config, p.kube, p.etcd.proc, a.epic, a.etcd.proc); err != nil {
		return nil, err
	}
	if a.direct, err = newSide("EPIC, asked directly", epicAPI, a.config, a.epic, a.etcd.proc); err != nil {
		return nil, err
	}
	return a, p.kube.await(ctx, func() error {
		return a.side.client.Get().AbsPath(a.side.path("default", "loadbalancers")...).Do(ctx).Error()
	})
}

// register tells the kube-apiserver where the API is. There is no proxy for
// Services here; an external name leads to this machine.
func (a *aggregate) register(ctx context.Context, port int, ca []byte) error {
	if err := a.plane.createNamespaces(ctx, systemNamespace); err != nil {
		return err
	}
	_, err := a.plane.core.CoreV1().Services(systemNamespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	client, err := restClient(a.plane.config)
	if err != nil {
		return err
	}
	return exchange(ctx, client.Post().AbsPath("apis", "apiregistration.k8s.io", "v1", "apiservices"), &map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.epic.acnodal.io"},
		"spec": map[string]any{
			"group": "epic.acnodal.io", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": ca,
			"service": map[string]any{"namespace": systemNamespace, "name": serviceName, "port": port},
		},
	})
}

func (a *aggregate) stop() {
	if a == nil {
		return
	}
	a.epic.stop()
	a.etcd.stop()
}
