// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// hookGuard is the place of the guard of a client node's underlay. It is not in the map of
// attachments: a guard is wherever the underlay's egress program is, and earlier versions,
// which may come back, know nothing of it.
const hookGuard bpf.KernelHook = 0xff

// guard is the program that drops what belongs into a tunnel, wherever the underlay's egress
// program does not see it. It is always a filter of a clsact qdisc. So where tcx attaches the
// other programs, nobody removes both of them in one way.
type guard struct {
	// program is nil on a gateway node.
	program *ebpf.Program
	// unsupported is set if the kernel has no such filters.
	unsupported bool
}

func guardKey(key bpf.KernelAttachmentKey) bpf.KernelAttachmentKey {
	return bpf.KernelAttachmentKey{Ifindex: key.Ifindex, Hook: hookGuard}
}

// wanted reports whether a hook has a guard.
func (g *guard) wanted(hook bpf.KernelHook) bool {
	return g.program != nil && !g.unsupported && hook == bpf.KernelHookHOOK_UNDERLAY_EGRESS
}

// attached reports whether the guard that belongs to a hook is there.
func (g *guard) attached(key bpf.KernelAttachmentKey) bool {
	return !g.wanted(key.Hook) || filterAttached(guardKey(key), g.program)
}

// attach attaches the guard that belongs to a hook, unless it is. It reports whether it had
// to make the qdisc.
func (g *guard) attach(key bpf.KernelAttachmentKey) (made bool, err error) {
	if g.attached(key) {
		return false, nil
	}
	made, err = addFilter(guardKey(key), g.program)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		// Programs attached by tcx do their work without.
		g.unsupported = true
		return made, nil
	}
	return made, err
}

// detach removes the guard that belongs to a hook.
func (g *guard) detach(hook bpf.KernelAttachmentKey) error {
	if hook.Hook != bpf.KernelHookHOOK_UNDERLAY_EGRESS {
		return nil
	}
	return deleteFilter(guardKey(hook))
}
