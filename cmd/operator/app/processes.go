// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator"
	"github.com/acnodal/epic/pkg/operator/authority"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/secretfolder"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

// serverName is the name in the operator's certificate on a host without Kubernetes.
const serverName = "epic-operator"

func (o *options) in(path ...string) string {
	return filepath.Join(append([]string{o.dir}, path...)...)
}

func (o *options) socket() string { return o.in("xds.sock") }

// newProcesses returns the platform that runs Envoys as processes of this host.
func newProcesses(o *options) (*platform, error) {
	envoy := cmp.Or(o.envoy, defaultEnvoy)
	var errs []error
	for _, f := range []struct {
		flag string
		path *string
	}{{"--envoy", &envoy}, {"--proxy", &o.proxy}} {
		path, err := find(*f.path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: set the program's path", f.flag, err))
			continue
		}
		*f.path = path
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	unlock, err := lock(o.dir)
	if err != nil {
		return nil, err
	}
	secrets := issuer.NewSecrets()
	folder := secretfolder.New(o.in("secrets"))
	var run *processes.Runner
	return &platform{
		place: authority.File(o.in("authority.json")), names: []string{serverName},
		authenticator: secrets,
		listen:        func(ctx context.Context) (listener, error) { return listenUnix(ctx, o.socket()) },
		secret:        folder.Get,
		location: func(public string) translate.Options {
			address, err := netip.ParseAddr(public)
			if o.network != onLoopback || err != nil {
				return translate.Options{}
			}
			return translate.Options{Addresses: []netip.Addr{processes.LoopbackAddress(address)}, ListenPort: processes.LoopbackPort}
		},
		begin: func(ctx context.Context, op *operator.Operator, c *issuer.Credentials, server *xds.Server) (runner.Runner, []source.TypedSource[proxyidentity.Proxy], error) {
			if err := privatefile.Write(o.in("ca.crt"), c.Authority().Bundle()); err != nil {
				return nil, nil, err
			}
			var network processes.Network = processes.Loopback{}
			switch o.network {
			case inNamespaces:
				network = &processes.Namespaces{Prefix: op.Store().Prefix}
			case onHost:
				network = processes.Host{}
			}
			run, err = processes.New(ctx, processes.Options{
				Dir: o.dir, Network: network, NodeAddress: o.nodeAddress, Identities: secrets,
				Command: func(p *workload.Proxy, pod, folder, token string) []string {
					return o.command(p, pod, folder, token, envoy)
				},
				Ready:   func(id proxyidentity.Proxy, pod string) bool { return op.Serves(id, pod) },
				Changed: func(id proxyidentity.Proxy) { op.Changed(id, 0) },
			})
			if err != nil {
				return nil, nil, err
			}
			secrets.Used = func(id proxyidentity.Identity) { run.Renew(id) }
			go folder.Watch(ctx, op.SecretChanged)
			go run.Tend(ctx)
			return run, nil, nil
		},
		end: func() {
			if run != nil {
				run.Stop()
			}
			unlock()
		},
	}, nil
}

// command returns the command line of epic-proxy.
func (o *options) command(p *workload.Proxy, pod, folder, token, envoy string) []string {
	return []string{
		o.proxy,
		"--operator=unix://" + o.socket(), "--server-name=" + serverName, "--ca-file=" + o.in("ca.crt"), "--token-file=" + token,
		"--namespace=" + p.Namespace, "--kind=" + string(p.Kind), "--name=" + p.Name, "--pod=" + pod,
		"--dir=" + folder, "--envoy=" + envoy, "--bind-address=unix:" + filepath.Join(folder, "health.sock"),
	}
}

// lock creates the directory and prevents a second operator from using it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--process-dir: %w", err)
	}
	f, err := fileutil.TryLockFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("--process-dir: another operator uses %s: stop it, or set another directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("--process-dir: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// listenUnix creates the socket and replaces a leftover one: the lock ensures that no
// operator uses it.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("serve proxies: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}
