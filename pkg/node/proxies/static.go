// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"
)

// Description is the description file of a host without Kubernetes, in YAML or JSON.
type Description struct {
	Proxies []DescribedProxy `json:"proxies"`
}

// DescribedProxy is one proxy and its interface.
type DescribedProxy struct {
	// Kind is LoadBalancer or GWProxy.
	Kind Kind `json:"kind"`
	// Namespace and Owner identify the object.
	Namespace string `json:"namespace"`
	Owner     string `json:"owner"`
	// Pod is the proxy's name on this host. Default: that of the owner.
	Pod string `json:"pod,omitempty"`
	// Interface is the name of the host's end. It may be created later.
	Interface string `json:"interface"`
	// MAC is the hardware address of the proxy's end.
	MAC string `json:"mac"`
	// Addresses are the public and the alternate address, at most one of each family.
	Addresses []string `json:"addresses"`
}

// ParseDescription parses a description strictly. Its errors name the field.
func ParseDescription(data []byte) ([]Interface, error) {
	var d Description
	if err := yaml.UnmarshalStrict(data, &d); err != nil {
		return nil, err
	}
	var errs []error
	out := make([]Interface, 0, len(d.Proxies))
	type podKey struct{ namespace, pod string }
	pods, names := map[podKey]bool{}, map[string]bool{}
	for i, p := range d.Proxies {
		path := fmt.Sprintf("proxies[%d]", i)
		wrong := func(field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s.%s: %s", path, field, fmt.Sprintf(format, args...)))
		}
		if p.Kind != LoadBalancer && p.Kind != GWProxy {
			wrong("kind", "%q must be %s or %s", p.Kind, LoadBalancer, GWProxy)
		}
		if p.Namespace == "" {
			wrong("namespace", "must be the account's namespace")
		}
		if p.Owner == "" {
			wrong("owner", "must be the name of the object that the proxy runs for")
		}
		p.Pod = cmp.Or(p.Pod, p.Owner)
		if k := (podKey{p.Namespace, p.Pod}); pods[k] {
			wrong("pod", "%q appears twice in this namespace: give each proxy a unique name", p.Pod)
		} else {
			pods[k] = true
		}
		if p.Interface == "" || len(p.Interface) > 15 {
			wrong("interface", "%q must be the name of the interface's host end, at most 15 characters", p.Interface)
		} else if names[p.Interface] {
			wrong("interface", "%q appears twice: give each proxy its own interface", p.Interface)
		}
		names[p.Interface] = true
		mac, err := net.ParseMAC(p.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			wrong("mac", "%q must be the hardware address of the proxy's end, such as 02:00:00:00:00:01", p.MAC)
		}
		addrs := describedAddresses(p.Addresses, wrong)
		out = append(out, Interface{Kind: p.Kind, Namespace: p.Namespace, Owner: p.Owner, Pod: p.Pod, Name: p.Interface, PeerMAC: mac, Addresses: addrs})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(out, Compare)
	return out, nil
}

func describedAddresses(texts []string, wrong func(field, format string, args ...any)) []netip.Addr {
	if len(texts) == 0 {
		wrong("addresses", "must have the proxy's public address")
	}
	var out []netip.Addr
	for j, text := range texts {
		field := fmt.Sprintf("addresses[%d]", j)
		a, err := netip.ParseAddr(text)
		a = a.Unmap()
		switch {
		case err != nil || a.Zone() != "":
			wrong(field, "%q must be an IP address without mask and zone", text)
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast():
			wrong(field, "%s cannot be a public address", a)
		case slices.ContainsFunc(out, func(b netip.Addr) bool { return a.Is4() == b.Is4() }):
			wrong(field, "%s is the second address of its family: remove one, because a proxy has at most one of each", a)
		default:
			out = append(out, a)
		}
	}
	return out
}

// verifyInterval is the interval of a comparison with the kernel's interfaces, in case a
// notification is lost.
const verifyInterval = 10 * time.Second

// Static is a Source of the proxies in a description file. It reloads the file when it
// changes; an invalid file then has no effect.
type Static struct {
	path string
	ns   netns.NsHandle
	rt   *netlink.Handle

	mu        sync.Mutex
	described []Interface
	list      []Interface
}

// OpenStatic reads the file. ns is the namespace of the host's ends; netns.None() is that
// of the process.
func OpenStatic(path string, ns netns.NsHandle) (*Static, error) {
	s := &Static{path: path, ns: ns}
	var err error
	if s.rt, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if _, err := s.read(); err != nil {
		s.rt.Close()
		return nil, err
	}
	return s, nil
}

// Close releases its resources.
func (s *Static) Close() { s.rt.Close() }

// read reads the file, looks up the interfaces, and reports whether the list changed.
func (s *Static) read() (bool, error) {
	data, err := os.ReadFile(s.path)
	if err != nil {
		return false, fmt.Errorf("read the description of proxies: %w", err)
	}
	described, err := ParseDescription(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.path, err)
	}
	s.mu.Lock()
	s.described = described
	s.mu.Unlock()
	return s.resolve()
}

// resolve looks up the described interfaces, and reports whether the list changed.
func (s *Static) resolve() (bool, error) {
	links, err := s.rt.LinkList()
	// A list that changed while it was read may lack some interfaces; the change also
	// triggers a notification, after which it is read again.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list links: %w", err)
	}
	index := make(map[string]int, len(links))
	for _, l := range links {
		index[l.Attrs().Name] = l.Attrs().Index
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Interface, 0, len(s.described))
	for _, i := range s.described {
		if i.Index = index[i.Name]; i.Index != 0 {
			list = append(list, i)
		}
	}
	changed := !reflect.DeepEqual(list, s.list)
	s.list = list
	return changed, nil
}

// List implements Source. It omits proxies whose interface does not exist.
func (s *Static) List() []Interface {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// Run implements Source.
func (s *Static) Run(ctx context.Context, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.path, err)
	}
	defer func() { _ = watcher.Close() }()
	// Watch the directory, because editors and ConfigMaps replace the file.
	if err := watcher.Add(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(s.path), err)
	}
	done := make(chan struct{})
	defer close(done)
	links := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{Namespace: &s.ns}); err != nil {
		return fmt.Errorf("watch the kernel's interfaces: %w", err)
	}
	changed()
	tick := time.NewTicker(verifyInterval)
	defer tick.Stop()
	last := ""
	for {
		do := s.read
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-watcher.Events:
		case _, open := <-links:
			do = s.resolve
			if !open {
				links = nil
			}
		}
		different, err := do()
		switch {
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			klog.FromContext(ctx).Error(err, "Keeping the previous description of proxies")
		}
		if different {
			changed()
		}
	}
}
