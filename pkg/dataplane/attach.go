// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/bpf"
)

// Names of the hooks, in the names of pins.
var hookNames = map[bpf.KernelHook]string{
	bpf.KernelHookHOOK_PROXY_INGRESS:    "proxy-ingress",
	bpf.KernelHookHOOK_UNDERLAY_INGRESS: "underlay-ingress",
	bpf.KernelHookHOOK_UNDERLAY_EGRESS:  "underlay-egress",
	bpf.KernelHookHOOK_UNDERLAY_XDP:     "underlay-xdp",
	hookGuard:                           "underlay-guard",
}

// attacher attaches programs to interfaces. Links are pinned, so programs stay
// attached when the process ends, and the next one takes them over.
type attacher struct {
	options  Options
	dir      string
	programs map[bpf.KernelHook]*ebpf.Program
	guard    guard
	table    *table[bpf.KernelAttachmentKey, bpf.KernelAttachment]
	links    map[bpf.KernelAttachmentKey]link.Link
	// leftover holds attachments of an earlier process that have not been requested
	// since.
	leftover map[bpf.KernelAttachmentKey]struct{}
}

func newAttacher(options Options, dir string, programs map[bpf.KernelHook]*ebpf.Program, m *bpf.KernelMaps) (*attacher, error) {
	table, err := newTable[bpf.KernelAttachmentKey, bpf.KernelAttachment](m.Attachments, "attachments")
	if err != nil {
		return nil, err
	}
	a := &attacher{
		options: options, dir: dir, programs: programs, table: table,
		links:    map[bpf.KernelAttachmentKey]link.Link{},
		leftover: map[bpf.KernelAttachmentKey]struct{}{},
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of links: %w", err)
	}
	return a, nil
}

func (a *attacher) pin(key bpf.KernelAttachmentKey) string {
	return filepath.Join(a.dir, fmt.Sprintf("%d-%s", key.Ifindex, hookNames[key.Hook]))
}

// adopt replaces the programs of an earlier process by those of this one.
func (a *attacher) adopt() error {
	for key, value := range a.table.want {
		program := a.programs[key.Hook]
		alive, err := a.adoptOne(key, value, program)
		if err != nil {
			return fmt.Errorf("take over the program at %s of interface %d: %w", hookNames[key.Hook], key.Ifindex, err)
		}
		if !alive {
			if err := a.forget(key); err != nil {
				return err
			}
			continue
		}
		a.leftover[key] = struct{}{}
	}
	// An unknown pin is from a process that died between two steps.
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	known := map[string]struct{}{}
	for key := range a.table.want {
		known[a.pin(key)] = struct{}{}
	}
	for _, entry := range entries {
		path := filepath.Join(a.dir, entry.Name())
		if _, ok := known[path]; !ok {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *attacher) adoptOne(key bpf.KernelAttachmentKey, value bpf.KernelAttachment, program *ebpf.Program) (alive bool, err error) {
	if program == nil {
		// It belongs to another role.
		return false, errors.Join(a.guard.detach(key), a.detachAs(key, value))
	}
	if a.guard.wanted(key.Hook) {
		if err := addFilterIfPresent(guardKey(key), a.guard.program); err != nil {
			return false, err
		}
	}
	if value.How == bpf.KernelHowHOW_CLSACT {
		return filterAttached(key, nil), addFilterIfPresent(key, program)
	}
	l, err := link.LoadPinnedLink(a.pin(key), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !linkAttached(l, key.Ifindex) {
		return false, errors.Join(l.Unpin(), l.Close())
	}
	if err := l.Update(program); err != nil {
		return false, errors.Join(err, l.Close())
	}
	a.links[key] = l
	return true, nil
}

// linkAttached reports whether a link still is at its interface. The kernel removes it
// with the interface, and may reuse the index.
func linkAttached(l link.Link, ifindex uint32) bool {
	info, err := l.Info()
	if err != nil {
		return false
	}
	if tcx := info.TCX(); tcx != nil {
		return tcx.Ifindex == ifindex
	}
	if xdp := info.XDP(); xdp != nil {
		return xdp.Ifindex == ifindex
	}
	return false
}

// attach attaches the program of a hook, unless it already is attached.
func (a *attacher) attach(ifindex int, hook bpf.KernelHook) error {
	key := bpf.KernelAttachmentKey{Ifindex: uint32(ifindex), Hook: hook}
	had, ok := a.table.want[key]
	made, err := a.guard.attach(key)
	if err != nil {
		return fmt.Errorf("attach the guard: %w", err)
	}
	if made && ok {
		had.Flags |= bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS
		if err := a.table.update(map[bpf.KernelAttachmentKey]bpf.KernelAttachment{key: had}); err != nil {
			return err
		}
	}
	if ok && a.wanted(had.How) && a.attached(key, had) {
		delete(a.leftover, key)
		return nil
	}
	if l := a.links[key]; ok && l != nil && a.wanted(had.How) && linkAttached(l, key.Ifindex) {
		// Only its pin is missing.
		if err := l.Unpin(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(a.leftover, key)
		return l.Pin(a.pin(key))
	}
	value := bpf.KernelAttachment{Flags: had.Flags}
	if made {
		value.Flags = bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS
	}
	var l link.Link
	switch {
	case hook == bpf.KernelHookHOOK_UNDERLAY_XDP:
		value.How = bpf.KernelHowHOW_XDP
		l, err = a.attachXDP(ifindex)
	case a.options.Hook != HookClsact:
		value.How = bpf.KernelHowHOW_TCX
		l, err = a.attachTCX(ifindex, hook)
		if errors.Is(err, ebpf.ErrNotSupported) && a.options.Hook == HookAuto {
			value.How, err = bpf.KernelHowHOW_CLSACT, nil
		}
	default:
		value.How = bpf.KernelHowHOW_CLSACT
	}
	if value.How == bpf.KernelHowHOW_CLSACT {
		made, err = addFilter(key, a.programs[hook])
		if made {
			value.Flags = bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS
		}
	}
	if err != nil {
		return fmt.Errorf("attach at %s: %w", hookNames[hook], err)
	}
	if ok && had.How != value.How {
		// The new program is attached, so the old one is obsolete.
		if err := a.detachAs(key, had); err != nil {
			return errors.Join(err, closeLink(l))
		}
	}
	if l != nil {
		if err := a.keep(key, l); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	delete(a.leftover, key)
	return a.table.update(map[bpf.KernelAttachmentKey]bpf.KernelAttachment{key: value})
}

// wanted reports whether the options allow a way of attaching.
func (a *attacher) wanted(how bpf.KernelHow) bool {
	switch how {
	case bpf.KernelHowHOW_TCX:
		return a.options.Hook != HookClsact
	case bpf.KernelHowHOW_CLSACT:
		return a.options.Hook != HookTCX
	}
	return true
}

func closeLink(l link.Link) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// keep pins a link and replaces an existing pin.
func (a *attacher) keep(key bpf.KernelAttachmentKey, l link.Link) error {
	path := a.pin(key)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.Pin(path); err != nil {
		return fmt.Errorf("pin a link: %w", err)
	}
	err := closeLink(a.links[key])
	a.links[key] = l
	return err
}

func (a *attacher) attachTCX(ifindex int, hook bpf.KernelHook) (link.Link, error) {
	options := link.TCXOptions{Interface: ifindex, Program: a.programs[hook], Attach: ebpf.AttachTCXIngress, Anchor: link.Head()}
	if hook == bpf.KernelHookHOOK_UNDERLAY_EGRESS {
		// Other programs see packets before they are sent into the tunnel.
		options.Attach, options.Anchor = ebpf.AttachTCXEgress, link.Tail()
	}
	return link.AttachTCX(options)
}

func (a *attacher) attachXDP(ifindex int) (link.Link, error) {
	return link.AttachXDP(link.XDPOptions{
		Program: a.programs[bpf.KernelHookHOOK_UNDERLAY_XDP], Interface: ifindex, Flags: link.XDPDriverMode,
	})
}

// attached reports whether an attachment in the table exists in the kernel.
func (a *attacher) attached(key bpf.KernelAttachmentKey, value bpf.KernelAttachment) bool {
	if !a.guard.attached(key) {
		return false
	}
	if value.How == bpf.KernelHowHOW_CLSACT {
		return filterAttached(key, a.programs[key.Hook])
	}
	l := a.links[key]
	if l == nil || !linkAttached(l, key.Ifindex) {
		return false
	}
	_, err := os.Stat(a.pin(key))
	return err == nil
}

// detach detaches the program of a hook. It is not an error if it is not attached.
func (a *attacher) detach(ifindex int, hook bpf.KernelHook) error {
	key := bpf.KernelAttachmentKey{Ifindex: uint32(ifindex), Hook: hook}
	value, ok := a.table.want[key]
	if !ok {
		return nil
	}
	// Detach the guard first: without the program, it would drop outgoing packets.
	err := errors.Join(a.guard.detach(key), a.detachAs(key, value))
	if value.How != bpf.KernelHowHOW_CLSACT && value.Flags&bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS != 0 {
		err = errors.Join(err, deleteQdisc(key.Ifindex))
	}
	if err != nil {
		return fmt.Errorf("detach from %s of interface %d: %w", hookNames[hook], ifindex, err)
	}
	return a.forget(key)
}

func (a *attacher) forget(key bpf.KernelAttachmentKey) error {
	delete(a.leftover, key)
	return a.table.remove([]bpf.KernelAttachmentKey{key})
}

// detachAs detaches a program by the way it is attached. The guard stays.
func (a *attacher) detachAs(key bpf.KernelAttachmentKey, value bpf.KernelAttachment) error {
	if value.How == bpf.KernelHowHOW_CLSACT {
		return a.removeFilter(key, value)
	}
	if err := os.Remove(a.pin(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l := a.links[key]
	delete(a.links, key)
	return closeLink(l)
}

// removeFilter removes a filter, and the qdisc if it was created for such filters and is
// not used otherwise.
func (a *attacher) removeFilter(key bpf.KernelAttachmentKey, value bpf.KernelAttachment) error {
	if err := deleteFilter(key); err != nil {
		return err
	}
	if value.Flags&bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS == 0 {
		return nil
	}
	for other, at := range a.table.want {
		if other.Ifindex == key.Ifindex && other != key && at.How == bpf.KernelHowHOW_CLSACT {
			at.Flags |= bpf.KernelAttachmentFlagsATTACHMENT_QDISC_OURS
			return a.table.update(map[bpf.KernelAttachmentKey]bpf.KernelAttachment{other: at})
		}
	}
	return deleteQdisc(key.Ifindex)
}

// repair restores removed attachments, and removes those that have not been requested
// since the data plane was opened.
func (a *attacher) repair() (int, error) {
	mended := 0
	var errs []error
	for key := range a.leftover {
		if err := a.detach(int(key.Ifindex), key.Hook); err != nil {
			errs = append(errs, err)
			continue
		}
		mended++
	}
	for key, value := range a.table.want {
		if a.attached(key, value) {
			continue
		}
		if _, err := netlink.LinkByIndex(int(key.Ifindex)); err != nil {
			// The programs of an interface are removed with it.
			if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
				errs = append(errs, a.detach(int(key.Ifindex), key.Hook))
			} else {
				errs = append(errs, err)
			}
			continue
		}
		// Without its entry, the hook is attached as if for the first time.
		if err := a.attach(int(key.Ifindex), key.Hook); err != nil {
			errs = append(errs, err)
			continue
		}
		mended++
	}
	n, err := a.table.repair()
	return mended + n, errors.Join(append(errs, err)...)
}

// close closes links, which stay pinned.
func (a *attacher) close() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// removeAll detaches everything.
func (a *attacher) removeAll() error {
	var errs []error
	for key := range a.table.want {
		errs = append(errs, a.detach(int(key.Ifindex), key.Hook))
	}
	return errors.Join(errs...)
}
