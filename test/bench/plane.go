// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/test/tools/kubebin"
)

//go:embed manifests
var manifests embed.FS

// plane is a Kubernetes control plane without nodes and controllers: a
// kube-apiserver and its etcd.
type plane struct {
	dir    string
	etcd   *etcdServer
	kube   *process
	config *rest.Config
	core   kubernetes.Interface
	// kubeconfig is the administrator's, as a file.
	kubeconfig string
}

func startPlane(ctx context.Context, b binaries, name string) (_ *plane, err error) {
	dir, err := os.MkdirTemp("", "epic-bench-"+name+"-")
	if err != nil {
		return nil, err
	}
	p := &plane{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.etcd, err = startEtcd(ctx, b.Etcd, dir, "etcd"); err != nil {
		return nil, err
	}
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	own, err := pki.Open(ctx, filepath.Join(dir, "pki"), []string{"localhost"}, local)
	if err != nil {
		return nil, err
	}
	front, err := pki.Open(ctx, filepath.Join(dir, "front-proxy"), []string{"localhost"}, local)
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := own.WriteKubeconfig(p.kubeconfig, url); err != nil {
		return nil, err
	}
	if p.config, err = clientcmd.BuildConfigFromFlags("", p.kubeconfig); err != nil {
		return nil, err
	}
	p.config.QPS = -1
	if p.core, err = kubernetes.NewForConfig(p.config); err != nil {
		return nil, err
	}
	p.kube, err = startProcess(ctx, dir, "kube-apiserver", b.KubeAPIServer,
		append(kubebin.ServerArgs(own, front, dir, fmt.Sprint(port)), "--etcd-servers", p.etcd.endpoint)...)
	if err != nil {
		return nil, err
	}
	return p, p.kube.await(ctx, func() error { return readyz(ctx, p.config) })
}

func (p *plane) stop() {
	if p == nil {
		return
	}
	p.kube.stop()
	p.etcd.stop()
	_ = os.RemoveAll(p.dir)
}

// createNamespaces makes namespaces, many at a time.
func (p *plane) createNamespaces(ctx context.Context, names ...string) error {
	return parallel(ctx, mostWriters, len(names), func(ctx context.Context, i int) error {
		_, err := p.core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names[i]}}, metav1.CreateOptions{})
		return err
	})
}

// customResources adds the kinds of the same shape to the kube-apiserver, and
// returns the side that they are.
func (p *plane) customResources(ctx context.Context) (*side, error) {
	client, err := restClient(p.config)
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"loadbalancers.yaml", "epics.yaml"} {
		text, err := manifests.ReadFile("manifests/" + file)
		if err != nil {
			return nil, err
		}
		err = client.Post().AbsPath("apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions").
			SetHeader("Content-Type", "application/yaml").Body(text).Do(ctx).Error()
		if err != nil {
			return nil, fmt.Errorf("create the custom resources of %s: %w", file, err)
		}
	}
	s, err := newSide("custom resources", resourceAPI, p.config, p.kube, p.etcd.proc)
	if err != nil {
		return nil, err
	}
	return s, p.kube.await(ctx, func() error {
		for _, resource := range []string{"loadbalancers", "epics"} {
			if err := client.Get().AbsPath(s.path("default", resource)...).Do(ctx).Error(); err != nil {
				return err
			}
		}
		return nil
	})
}
