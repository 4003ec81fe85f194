// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// receiverWords is the size of the programs' filter, in 64-bit words.
const receiverWords = 1024

// receivers is a filter of the addresses to which a client node's endpoints reply. A
// packet whose address is not in it is not examined further. An address that is in it may
// be another one with the same hash.
type receivers struct {
	filter *ebpf.Variable
	bits   [receiverWords]uint64
}

// add adds the addresses of replies. They have to be added before the replies.
func (r *receivers) add(answers iter.Seq[bpf.KernelFlow]) error {
	changed := false
	for key := range answers {
		word, bit := receiverBit(key.Destination.Bytes)
		changed = changed || r.bits[word]&bit == 0
		r.bits[word] |= bit
	}
	if !changed {
		return nil
	}
	return r.write()
}

// set replaces the addresses by those of the given replies.
func (r *receivers) set(answers iter.Seq[bpf.KernelFlow]) error {
	clear(r.bits[:])
	for key := range answers {
		word, bit := receiverBit(key.Destination.Bytes)
		r.bits[word] |= bit
	}
	return r.write()
}

func (r *receivers) write() error {
	if err := r.filter.Set(r.bits); err != nil {
		return fmt.Errorf("write the filter of receivers: %w", err)
	}
	return nil
}

// receiverBit returns the bit of an address, like is_receiver in bpf/encap.h.
func receiverBit(address [16]byte) (word int, bit uint64) {
	var hash uint32
	if from16(address).Is4() {
		hash = binary.NativeEndian.Uint32(address[12:])
	} else {
		for at := 0; at < len(address); at += 4 {
			hash ^= binary.NativeEndian.Uint32(address[at:])
		}
	}
	hash = hash * 0x9e3779b1 >> 16
	return int(hash / 64), 1 << (hash & 63)
}
