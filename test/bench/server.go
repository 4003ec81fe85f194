// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// server is an API server in a process of its own.
type server struct {
	dir    string
	cmd    *exec.Cmd
	config *rest.Config
}

func startServer(ctx context.Context, binary string) (*server, error) {
	dir, err := os.MkdirTemp("", "epic-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "--standalone", "--data-dir", dir, "--secure-port", fmt.Sprint(port), "--kubeconfig-out", kubeconfig)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (run \"make build\" first): %w", binary, err)
	}
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if s.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err == nil {
			s.config.QPS = -1
			client, e := clientset.NewForConfig(s.config)
			if e != nil {
				return nil, e
			}
			if _, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
				return s, nil
			}
		}
		if ctx.Err() != nil || time.Since(start) > time.Minute {
			s.stop()
			return nil, fmt.Errorf("the server is not ready: %w", err)
		}
	}
}

func (s *server) etcdEndpoint() string { return embedetcd.Endpoint(s.dir) }

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no TCP address", l.Addr())
	}
	return addr.Port, nil
}
