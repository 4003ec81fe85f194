// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// closedFor is how long a removed endpoint stays closed: its packets to the proxy are
// dropped, and not sent outside tunnels. No TCP stack keeps sending for as long without a
// response.
const closedFor = 20 * time.Minute

// replies is the map in which a client node looks up the tunnel of a reply. Unlike the
// flows, it never evicts entries.
type replies struct {
	table *table[bpf.KernelFlow, bpf.KernelReply]
	// closed holds the entries of removed endpoints, and since when they are closed.
	closed map[bpf.KernelFlow]time.Time
	now    func() time.Time
	// receivers has a bit for each address with replies.
	receivers receivers
}

func newReplies(m *bpf.KernelMaps, filter *ebpf.Variable) (*replies, error) {
	r := &replies{closed: map[bpf.KernelFlow]time.Time{}, now: time.Now, receivers: receivers{filter: filter}}
	var err error
	if r.table, err = newTable[bpf.KernelFlow, bpf.KernelReply](m.Replies, "replies"); err != nil {
		return nil, err
	}
	if err := r.receivers.add(maps.Keys(r.table.want)); err != nil {
		return nil, err
	}
	for key, value := range r.table.want {
		if value.Tunnel == 0 {
			r.closed[key] = r.now()
		}
	}
	return r, nil
}

// write sets entries. If there is no room, it removes closed ones.
func (r *replies) write(entries map[bpf.KernelFlow]bpf.KernelReply) error {
	missing := 0
	for key := range entries {
		if _, ok := r.table.want[key]; !ok {
			missing++
		}
	}
	if short := missing - r.table.room(); short > 0 {
		oldest := slices.SortedFunc(maps.Keys(r.closed), func(a, b bpf.KernelFlow) int { return r.closed[a].Compare(r.closed[b]) })
		oldest = slices.DeleteFunc(oldest, func(key bpf.KernelFlow) bool { _, again := entries[key]; return again })
		if err := r.forget(oldest[:min(short, len(oldest))]); err != nil {
			return err
		}
	}
	if err := r.receivers.add(maps.Keys(entries)); err != nil {
		return err
	}
	if err := r.table.update(entries); err != nil {
		return err
	}
	for key := range entries {
		delete(r.closed, key)
	}
	return nil
}

// close keeps entries that lead nowhere from now on.
func (r *replies) close(keys []bpf.KernelFlow) error {
	entries := make(map[bpf.KernelFlow]bpf.KernelReply, len(keys))
	for _, key := range keys {
		if had, ok := r.table.want[key]; ok && had.Tunnel != 0 {
			entries[key] = bpf.KernelReply{}
		}
	}
	if err := r.table.update(entries); err != nil {
		return err
	}
	for key := range entries {
		r.closed[key] = r.now()
	}
	return nil
}

func (r *replies) forget(keys []bpf.KernelFlow) error {
	if err := r.table.remove(keys); err != nil {
		return err
	}
	for _, key := range keys {
		delete(r.closed, key)
	}
	return nil
}

// repair corrects the map, and removes entries that were closed for long enough.
func (r *replies) repair() (int, error) {
	var old []bpf.KernelFlow
	for key, since := range r.closed {
		if r.now().Sub(since) >= closedFor {
			old = append(old, key)
		}
	}
	if err := r.forget(old); err != nil {
		return 0, err
	}
	n, err := r.table.repair()
	if err != nil {
		return n, err
	}
	return n, r.receivers.set(maps.Keys(r.table.want))
}

// wanted computes the entries of an address from its services.
func (r *replies) wanted(ids []serviceID, sources map[serviceID]pair) map[bpf.KernelFlow]bpf.KernelReply {
	tunnels := map[bpf.KernelFlow][]uint32{}
	for _, id := range ids {
		for _, key := range replyKeys(id, sources[id]) {
			if !slices.Contains(tunnels[key], id.tunnel) {
				tunnels[key] = append(tunnels[key], id.tunnel)
			}
		}
	}
	entries := make(map[bpf.KernelFlow]bpf.KernelReply, len(tunnels))
	for key, all := range tunnels {
		entries[key] = r.choose(key, all)
	}
	return entries
}

// choose returns the tunnel for replies without a known flow: the current one, because
// flows that came through it were not recorded while it was the only one.
func (r *replies) choose(key bpf.KernelFlow, tunnels []uint32) bpf.KernelReply {
	value := bpf.KernelReply{Tunnel: slices.Min(tunnels)}
	if had := r.table.want[key].Tunnel; had != 0 && slices.Contains(tunnels, had) {
		value.Tunnel = had
	}
	if len(tunnels) > 1 {
		value.Flags = bpf.KernelReplyFlagsREPLY_SHARED
	}
	return value
}

// replyKeys returns the keys of a service: for each of the proxy's addresses of its
// family, one for its port, and one for its address.
func replyKeys(id serviceID, sources pair) []bpf.KernelFlow {
	address := from16(id.address)
	i := slices.IndexFunc(sources.list(), func(source netip.Addr) bool { return source.Is4() == address.Is4() })
	if i < 0 {
		return nil
	}
	var key bpf.KernelFlow
	key.Source.Bytes, key.Destination.Bytes = id.address, as16(sources.list()[i])
	port := key
	port.SourcePort, port.Protocol = id.port, id.protocol
	return []bpf.KernelFlow{port, key}
}
