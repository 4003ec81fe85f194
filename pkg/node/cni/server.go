// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/host"
)

// InterfaceName is the name of the public interface in a proxy's pod.
const InterfaceName = "net1"

const (
	// repairInterval is the interval at which attachments are compared with the kernel.
	repairInterval = 3 * time.Second
	// goneGrace is how long a pod has to be gone before its attachment is removed, in
	// case the runtime never does so.
	goneGrace = 5 * time.Minute
	// readTimeout limits the time to read a request, which is small and local.
	readTimeout = 5 * time.Second
)

// Server serves the plugin.
type Server struct {
	// Resolver determines which pods are proxies.
	Resolver Resolver
	// Attached records the attachments.
	Attached *Attached
	// Worker repairs.
	Worker podnet.Worker

	locks keyed
	// goneSince is when a pod was first found to be gone, by the host's end.
	goneSince map[string]time.Time
	// told holds the problems that were logged, so each is logged once.
	told map[string]string
}

// Listen creates the socket, for root only, and its directory. It replaces a leftover
// socket; the caller must ensure that no other program uses it.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Run serves the listener and repairs, until the context ends. It completes requests in
// progress.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:     s.handler(),
		ReadTimeout: readTimeout,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.mendLoop(ctx)
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultWait+readTimeout)
		defer cancel()
		_ = srv.Shutdown(stop)
	}()
	err := srv.Serve(rootOnly{l})
	if errors.Is(err, http.ErrServerClosed) {
		<-done
		return nil
	}
	return err
}

// rootOnly only accepts connections from root. The socket's mode has the same effect;
// this check still works if somebody changes the mode.
type rootOnly struct{ net.Listener }

// Accept returns the next connection from root.
func (r rootOnly) Accept() (net.Conn, error) {
	for {
		c, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if peerIsRoot(c) {
			return c, nil
		}
		_ = c.Close()
	}
}

func peerIsRoot(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	root := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		root = err == nil && cred.Uid == 0
	})
	return err == nil && root
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	handle(mux, wire.PathPlan, s.plan)
	handle(mux, wire.PathAttached, s.attached)
	handle(mux, wire.PathDetach, s.detach)
	handle(mux, wire.PathCheck, s.check)
	handle(mux, wire.PathGC, s.gc)
	return mux
}

func handle[In, Out any](mux *http.ServeMux, path string, f func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxBody))
		d.DisallowUnknownFields()
		var out any
		code := http.StatusOK
		err := d.Decode(&in)
		if err != nil {
			err = &wire.RefusalError{Message: "cannot decode the plugin's request: " + err.Error()}
		} else {
			out, err = f(r.Context(), in)
		}
		if err != nil {
			code = http.StatusConflict
			var failure *wire.RefusalError
			if !errors.As(err, &failure) {
				failure = &wire.RefusalError{Message: err.Error(), Retry: true}
			}
			out = failure
			klog.FromContext(r.Context()).V(2).Info("Refused a request of the CNI plugin", "path", path, "reason", err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(out); err != nil {
			klog.FromContext(r.Context()).V(2).Info("The CNI plugin closed the connection", "reason", err)
		}
	})
}

func validate(r wire.Request) error {
	if r.Container == "" || r.Interface == "" {
		return &wire.RefusalError{Message: "container and interface: must name the attachment"}
	}
	return nil
}

// plan returns the plan of a pod.
func (s *Server) plan(ctx context.Context, r wire.Request) (wire.Answer, error) {
	if err := validate(r); err != nil {
		return wire.Answer{}, err
	}
	if r.PodNamespace == "" || r.PodName == "" {
		return wire.Answer{}, &wire.RefusalError{Message: "podNamespace and podName: must name the pod"}
	}
	p, err := s.Resolver.Resolve(ctx, r.PodNamespace, r.PodName, types.UID(r.PodUID))
	if err != nil || p == nil {
		return wire.Answer{}, err
	}
	mtu, err := s.Worker.MTU(p.Bridge)
	if err != nil {
		return wire.Answer{}, err
	}
	name := r.HostName()
	return wire.Answer{Plan: &wire.Plan{
		Kind: string(p.Kind), Namespace: p.Namespace, Owner: p.Owner, Pod: r.PodName, PodUID: string(p.PodUID),
		Host: name, HostMAC: host.StableMAC("host " + name), Alias: r.Alias(),
		Bridge: p.Bridge, BridgeMAC: host.BridgeMAC(p.Bridge),
		Name: InterfaceName, MAC: host.StableMAC("pod " + name), MTU: mtu,
		Addresses: p.Addresses, Keep: p.Keep,
	}}, nil
}

// attached records what the plugin has created.
func (s *Server) attached(_ context.Context, r wire.Request) (struct{}, error) {
	if err := validate(r); err != nil {
		return struct{}{}, err
	}
	if r.Plan == nil || r.Plan.Host != r.HostName() || r.Plan.Alias != r.Alias() {
		return struct{}{}, &wire.RefusalError{Message: "plan: must be that of this attachment"}
	}
	defer s.locks.lock(r.Plan.Host)()
	return struct{}{}, s.Attached.Put(Attachment{
		Attachment: r.Attachment, Netns: r.Netns, NetnsID: r.NetnsID, Plan: *r.Plan, Index: r.HostIndex,
	})
}

// detach forgets an attachment before the plugin removes it.
func (s *Server) detach(_ context.Context, r wire.Request) (struct{}, error) {
	if err := validate(r); err != nil {
		return struct{}{}, err
	}
	name := r.HostName()
	defer s.locks.lock(name)()
	return struct{}{}, s.Attached.Delete(name)
}

// check returns the plan of an attachment, if the pod is a proxy.
func (s *Server) check(ctx context.Context, r wire.Request) (wire.Answer, error) {
	if err := validate(r); err != nil {
		return wire.Answer{}, err
	}
	if known, ok := s.Attached.Get(r.HostName()); ok {
		return wire.Answer{Plan: &known.Plan}, nil
	}
	answer, err := s.plan(ctx, r)
	if err != nil || answer.Plan == nil {
		return answer, err
	}
	return wire.Answer{}, &wire.RefusalError{Message: fmt.Sprintf("pod %s/%s is a proxy but has no public interface: delete the pod", r.PodNamespace, r.PodName)}
}

// gc forgets the attachments of a network that are no longer valid.
func (s *Server) gc(_ context.Context, g wire.GC) (struct{}, error) {
	valid := map[string]bool{}
	for _, a := range g.Valid {
		valid[a.HostName()] = true
	}
	var errs []error
	for _, r := range s.Attached.All() {
		if r.Network != g.Network || valid[r.Plan.Host] {
			continue
		}
		unlock := s.locks.lock(r.Plan.Host)
		errs = append(errs, s.Attached.Delete(r.Plan.Host))
		unlock()
	}
	return struct{}{}, errors.Join(errs...)
}

// keyed is a lock per key.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*entry
}

type entry struct {
	sync.Mutex
	users int
}

// lock locks a key and returns a function to unlock it.
func (k *keyed) lock(key string) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*entry{}
	}
	e := k.locks[key]
	if e == nil {
		e = &entry{}
		k.locks[key] = e
	}
	e.users++
	k.mu.Unlock()
	e.Lock()
	return func() {
		e.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if e.users--; e.users == 0 {
			delete(k.locks, key)
		}
	}
}
