// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// hookGuard is the hook of the guard on a client node's underlay. It is not in the map of
// attachments: a guard exists wherever the underlay's egress program does, and earlier
// versions, to which a node may be rolled back, do not know it.
const hookGuard bpf.KernelHook = 0xff

// guard is the program that drops packets for tunnels that the underlay's egress program
// does not see. It is always a filter of a clsact qdisc. So if tcx attaches the other
// programs, both can't be removed in the same way.
type guard struct {
	// program is nil on a gateway node.
	program *ebpf.Program
	// unsupported is set if the kernel does not support such filters.
	unsupported bool
}

func guardKey(key bpf.KernelAttachmentKey) bpf.KernelAttachmentKey {
	return bpf.KernelAttachmentKey{Ifindex: key.Ifindex, Hook: hookGuard}
}

// wanted reports whether a hook has a guard.
func (g *guard) wanted(hook bpf.KernelHook) bool {
	return g.program != nil && !g.unsupported && hook == bpf.KernelHookHOOK_UNDERLAY_EGRESS
}

// attached reports whether the guard of a hook is attached.
func (g *guard) attached(key bpf.KernelAttachmentKey) bool {
	return !g.wanted(key.Hook) || filterAttached(guardKey(key), g.program)
}

// attach attaches the guard of a hook, unless it already is attached. It reports whether
// it had to create the qdisc.
func (g *guard) attach(key bpf.KernelAttachmentKey) (made bool, err error) {
	if g.attached(key) {
		return false, nil
	}
	made, err = addFilter(guardKey(key), g.program)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		// Programs attached by tcx work without it.
		g.unsupported = true
		return made, nil
	}
	return made, err
}

// detach removes the guard of a hook.
func (g *guard) detach(hook bpf.KernelAttachmentKey) error {
	if hook.Hook != bpf.KernelHookHOOK_UNDERLAY_EGRESS {
		return nil
	}
	return deleteFilter(guardKey(hook))
}
