// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

// server is a standalone API server, with an embedded etcd.
type server struct {
	dir    string
	proc   *process
	config *rest.Config
}

func startServer(ctx context.Context, binary string) (_ *server, err error) {
	dir, err := os.MkdirTemp("", "epic-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	s.proc, err = startProcess(ctx, dir, "epic-apiserver", binary,
		"--standalone", "--data-dir", dir, "--secure-port", fmt.Sprint(port), "--kubeconfig-out", kubeconfig)
	if err != nil {
		return nil, err
	}
	return s, s.proc.await(ctx, func() error {
		var err error
		if s.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return err
		}
		s.config.QPS = -1
		return readyz(ctx, s.config)
	})
}

func (s *server) etcdEndpoint() string { return embedetcd.Endpoint(s.dir) }

func (s *server) stop() {
	s.proc.stop()
	_ = os.RemoveAll(s.dir)
}

// readyz asks a server whether it is ready.
func readyz(ctx context.Context, config *rest.Config) error {
	client, err := restClient(config)
	if err != nil {
		return err
	}
	return client.Get().AbsPath("/readyz").Do(ctx).Error()
}
