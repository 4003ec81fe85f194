// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/acnodal/epic/bpf"
)

// Drops implements Observer.
func (d *DataPlane) Drops() (map[DropReason]uint64, error) {
	counts := map[DropReason]uint64{}
	for _, drop := range dropReasons {
		var values []uint64
		if err := d.objects.Drops.Lookup(uint32(drop.number), &values); err != nil {
			return nil, fmt.Errorf("read the drops: %w", err)
		}
		var total uint64
		for _, value := range values {
			total += value
		}
		counts[drop.reason] = total
	}
	return counts, nil
}

// traces distributes the events of the ring buffer to the tracers.
type traces struct {
	mu     sync.Mutex
	reader *ringbuf.Reader
	shows  map[uint32][]*func(TraceEvent)
}

// maxTraces is the maximum number of tunnels that can be traced at the same time.
const maxTraces = 8

// Trace implements Observer.
func (d *DataPlane) Trace(ctx context.Context, tunnel uint32, show func(TraceEvent)) error {
	if tunnel == 0 {
		return errors.New("trace a tunnel: its ID must not be zero")
	}
	if err := d.startTrace(tunnel, &show); err != nil {
		return fmt.Errorf("trace tunnel %d: %w", tunnel, err)
	}
	<-ctx.Done()
	return d.stopTrace(tunnel, &show)
}

func (d *DataPlane) startTrace(tunnel uint32, show *func(TraceEvent)) error {
	t := &d.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shows == nil {
		t.shows = map[uint32][]*func(TraceEvent){}
	}
	if len(t.shows[tunnel]) == 0 && len(t.shows) == maxTraces {
		return fmt.Errorf("%d tunnels are already being traced, which is the limit", maxTraces)
	}
	if t.reader == nil {
		reader, err := ringbuf.NewReader(d.objects.Events)
		if err != nil {
			return err
		}
		t.reader = reader
		go t.read(reader)
	}
	t.shows[tunnel] = append(t.shows[tunnel], show)
	return d.setTraced()
}

func (d *DataPlane) stopTrace(tunnel uint32, show *func(TraceEvent)) error {
	t := &d.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.shows[tunnel]
	for i := range list {
		if list[i] == show {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	t.shows[tunnel] = list
	if len(list) == 0 {
		delete(t.shows, tunnel)
	}
	if t.reader == nil {
		return nil // closed in the meantime
	}
	return d.setTraced()
}

// setTraced informs the programs which tunnels are traced.
func (d *DataPlane) setTraced() error {
	var ids [maxTraces]uint32
	n := 0
	for id := range d.traces.shows {
		ids[n] = id
		n++
	}
	return errors.Join(d.objects.Traced.Set(ids), d.objects.Traces.Set(uint32(n)))
}

func (t *traces) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reader == nil {
		return nil
	}
	err := t.reader.Close()
	t.reader = nil
	return err
}

func (t *traces) read(reader *ringbuf.Reader) {
	var record ringbuf.Record
	for {
		err := reader.ReadInto(&record)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		event, err := decodeEvent(record.RawSample)
		if err != nil {
			continue
		}
		t.mu.Lock()
		shows := t.shows[event.Tunnel]
		t.mu.Unlock()
		for _, show := range shows {
			(*show)(TraceEvent{Tunnel: event.Tunnel, Text: eventText(event)})
		}
	}
}

var protocols = map[uint8]string{1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}

// eventText describes the packet, the decision, and the reason.
func eventText(event bpf.KernelEvent) string {
	var text strings.Builder
	if event.Direction == bpf.KernelDirectionDIRECTION_IN {
		text.WriteString("in ")
	} else {
		text.WriteString("out")
	}
	fmt.Fprintf(&text, " tunnel %d", event.Tunnel)
	source, destination := from16(event.Source.Bytes), from16(event.Destination.Bytes)
	if source.IsValid() {
		protocol, ok := protocols[event.Protocol]
		if !ok {
			protocol = fmt.Sprintf("protocol %d", event.Protocol)
		}
		fmt.Fprintf(&text, ": %s %v > %v", protocol,
			netip.AddrPortFrom(source, big(event.SourcePort)), netip.AddrPortFrom(destination, big(event.DestinationPort)))
		if event.Protocol == 6 {
			fmt.Fprintf(&text, " [%s]", flagsText(event.TcpFlags))
		}
	}
	fmt.Fprintf(&text, ", %d bytes", event.Length)
	if outer := from16(event.Outer.Bytes); outer.IsValid() {
		fmt.Fprintf(&text, ", far end %v", netip.AddrPortFrom(outer, big(event.OuterPort)))
	}
	if event.Reason != 0 {
		fmt.Fprintf(&text, ": dropped, %s", reasonOf(event.Reason))
		return text.String()
	}
	fmt.Fprintf(&text, ": to interface %d", event.Ifindex)
	if event.Xdp != 0 {
		text.WriteString(" (XDP)")
	}
	return text.String()
}

func flagsText(flags uint8) string {
	var text strings.Builder
	for i, letter := range "FSRPAUEC" {
		if flags&(1<<i) != 0 {
			text.WriteRune(letter)
		}
	}
	return text.String()
}

func decodeEvent(sample []byte) (bpf.KernelEvent, error) {
	var event bpf.KernelEvent
	err := binary.Read(bytes.NewReader(sample), binary.NativeEndian, &event)
	return event, err
}
