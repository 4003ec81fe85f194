// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/statefile"
)

const (
	attachmentVersion = 1
	attachmentSuffix  = ".attachment"
	// verifyInterval is the interval of a full comparison with the kernel, in case a
	// notification is lost.
	verifyInterval = 10 * time.Second
)

// Attachment is the record of one attachment.
type Attachment struct {
	wire.Attachment
	// Netns is the path of the pod's network namespace, NetnsID its identity.
	Netns   string `json:"netns"`
	NetnsID string `json:"netnsID"`
	// Plan is the plan that was applied.
	Plan wire.Plan `json:"plan"`
	// Index is the index of the host's end when it was created.
	Index int `json:"index"`
}

// Attached records the proxies that the CNI plugin attached, in one file each in a
// directory. A proxy without an interface is kept, because the interface may be
// recreated, but not listed.
type Attached struct {
	directory string
	ns        netns.NsHandle
	rt        *netlink.Handle

	mu      sync.Mutex
	records map[string]Attachment
	// live holds the indexes of existing interfaces.
	live    map[string]int
	changed chan struct{}
}

// OpenAttached reads the directory, and creates it if it does not exist. It sets damaged
// files aside with a message, because the others are usable. ns is the namespace of the
// host's ends; netns.None() is that of the process.
func OpenAttached(ctx context.Context, directory string, ns netns.NsHandle) (*Attached, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(directory, "*"+attachmentSuffix))
	if err != nil {
		return nil, err
	}
	a := &Attached{directory: directory, ns: ns, records: map[string]Attachment{}, live: map[string]int{}, changed: make(chan struct{}, 1)}
	for _, path := range names {
		var r Attachment
		_, err := file(path).Load(&r)
		host := strings.TrimSuffix(filepath.Base(path), attachmentSuffix)
		if err == nil && r.Plan.Host != host {
			err = fmt.Errorf("%s: %w: it belongs to %s", path, statefile.ErrDamaged, r.Plan.Host)
		}
		if errors.Is(err, statefile.ErrDamaged) {
			klog.FromContext(ctx).Error(err, "Renamed an invalid attachment file; delete the proxy's pod if it has no connection")
			if err := os.Rename(path, path+".damaged"); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		a.records[host] = r
	}
	if a.rt, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if err := a.verify(); err != nil {
		a.rt.Close()
		return nil, err
	}
	return a, nil
}

// Close releases its resources. The files stay.
func (a *Attached) Close() { a.rt.Close() }

func file(path string) statefile.File {
	return statefile.File{Path: path, Version: attachmentVersion}
}

func (a *Attached) path(host string) string {
	return filepath.Join(a.directory, host+attachmentSuffix)
}

// Put records an attachment, whose interface must exist.
func (a *Attached) Put(r Attachment) error {
	host := r.Plan.Host
	if host == "" || host != filepath.Base(host) {
		return fmt.Errorf("%q is not a valid interface name", host)
	}
	link, err := a.rt.LinkByName(host)
	if err != nil {
		return fmt.Errorf("the interface %s: %w", host, err)
	}
	if link.Attrs().Alias != r.Plan.Alias {
		return fmt.Errorf("the interface %s does not belong to %s", host, r.Plan.Pod)
	}
	r.Index = link.Attrs().Index
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := file(a.path(host)).Save(r); err != nil {
		return fmt.Errorf("store the attachment %s: %w", host, err)
	}
	a.records[host], a.live[host] = r, r.Index
	a.notify()
	return nil
}

// Delete removes an attachment. It is not an error if it is unknown.
func (a *Attached) Delete(host string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.records[host]; !known {
		return nil
	}
	if err := os.Remove(a.path(host)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the attachment %s: %w", host, err)
	}
	delete(a.records, host)
	delete(a.live, host)
	a.notify()
	return nil
}

// Get returns the attachment with a host's end.
func (a *Attached) Get(host string) (Attachment, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.records[host]
	return r, ok
}

// All returns all attachments by the names of the host's ends, including those without an
// interface.
func (a *Attached) All() []Attachment {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Attachment, 0, len(a.records))
	for _, r := range a.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y Attachment) int { return cmp.Compare(x.Plan.Host, y.Plan.Host) })
	return out
}

// Live reports whether an attachment's interface exists.
func (a *Attached) Live(host string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live[host] != 0
}

// List implements proxies.Source.
func (a *Attached) List() []proxies.Interface {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]proxies.Interface, 0, len(a.live))
	for host, index := range a.live {
		p := a.records[host].Plan
		out = append(out, proxies.Interface{
			Kind: proxies.Kind(p.Kind), Namespace: p.Namespace, Owner: p.Owner, Pod: p.Pod,
			Index: index, Name: host, PeerMAC: p.MAC, Addresses: slices.Clone(p.Addresses),
		})
	}
	slices.SortFunc(out, proxies.Compare)
	return out
}

// notify signals that the list has changed. The caller holds the lock.
func (a *Attached) notify() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// Run implements proxies.Source: it watches the kernel's interfaces.
func (a *Attached) Run(ctx context.Context, changed func()) error {
	changed()
	tick := time.NewTicker(verifyInterval)
	defer tick.Stop()
	updates := make(chan struct{}, 1)
	go a.watch(ctx, updates)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			changed()
			continue
		case <-updates:
		case <-tick.C:
		}
		if err := a.verify(); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot compare the attachments with the kernel's interfaces")
		}
	}
}

// verify compares the records with the kernel.
func (a *Attached) verify() error {
	links, err := a.rt.LinkList()
	// A list that changed while it was read may lack some interfaces, which are looked
	// up.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list links: %w", err)
	}
	byName := make(map[string]netlink.Link, len(links))
	for _, l := range links {
		byName[l.Attrs().Name] = l
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for host, r := range a.records {
		index := 0
		l := byName[host]
		if l == nil && a.live[host] != 0 {
			l, _ = a.rt.LinkByName(host)
		}
		if l != nil && l.Attrs().Alias == r.Plan.Alias {
			index = l.Attrs().Index
		}
		if index == a.live[host] {
			continue
		}
		if index == 0 {
			delete(a.live, host)
		} else {
			a.live[host] = index
		}
		a.notify()
	}
	return nil
}

// watch reports interfaces that are added and removed.
func (a *Attached) watch(ctx context.Context, updates chan<- struct{}) {
	for ctx.Err() == nil {
		done := make(chan struct{})
		links := make(chan netlink.LinkUpdate, 64)
		err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{Namespace: &a.ns})
		if err != nil {
			klog.FromContext(ctx).Error(err, "Cannot watch the kernel's interfaces, polling every few seconds")
		}
		for open := err == nil; open; {
			var u netlink.LinkUpdate
			select {
			case <-ctx.Done():
				open = false
			case u, open = <-links:
				if _, known := a.Get(name(u)); known || !open {
					select {
					case updates <- struct{}{}:
					default:
					}
				}
			}
		}
		close(done)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func name(u netlink.LinkUpdate) string {
	if u.Link == nil {
		return ""
	}
	return u.Attrs().Name
}
