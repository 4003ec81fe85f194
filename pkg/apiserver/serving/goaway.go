// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	frameHeaderSize = 9
	// maxStreamID is the highest possible stream ID.
	maxStreamID = 1<<31 - 1
)

// announcement is a GOAWAY frame that rejects no request.
var announcement = func() []byte {
	frame := make([]byte, frameHeaderSize, frameHeaderSize+8)
	frame[2] = 8 // length
	frame[3] = byte(http2.FrameGoAway)
	frame = binary.BigEndian.AppendUint32(frame, maxStreamID)
	return binary.BigEndian.AppendUint32(frame, uint32(http2.ErrCodeNo))
}()

// frames parses the frames in a stream of bytes, to find positions at which another frame
// can be inserted.
type frames struct {
	header [frameHeaderSize]byte
	// have is the number of header bytes received, left the number of payload bytes still
	// to come.
	have int
	left uint32
	// begun is set once the first frame, the server's settings, is complete.
	begun bool
	// block is set within a header block, which must not be interrupted.
	block bool
}

// free reports whether a frame may be inserted at the current position.
func (f *frames) free() bool {
	return f.begun && f.have == 0 && !f.block
}

// scan parses p, and returns the offset in p of the last position at which a frame may be
// inserted, or -1 if there is none.
func (f *frames) scan(p []byte) int {
	last := -1
	for i := 0; i < len(p); {
		if f.have < frameHeaderSize {
			n := copy(f.header[f.have:], p[i:])
			f.have += n
			i += n
			if f.have < frameHeaderSize {
				break
			}
			f.left = binary.BigEndian.Uint32(f.header[:4]) >> 8
		}
		n := min(uint32(len(p)-i), f.left)
		f.left -= n
		i += int(n)
		if f.left > 0 {
			break
		}
		f.end()
		if f.free() {
			last = i
		}
	}
	return last
}

// end handles a complete frame.
func (f *frames) end() {
	f.have = 0
	f.begun = true
	switch http2.FrameType(f.header[3]) {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		f.block = !http2.Flags(f.header[4]).Has(http2.FlagHeadersEndHeaders)
	}
}

const (
	// silence is how long a client must be silent before the announcement.
	silence = 100 * time.Millisecond
	// patience is the maximum time that a server waits for silence.
	patience = time.Second
)

// conn is a connection on which an HTTP/2 server writes frames.
type conn struct {
	net.Conn

	// heard is when the client last sent data, in nanoseconds.
	heard atomic.Int64

	mu sync.Mutex
	frames
	// released wakes writers that wait until held is cleared.
	released sync.Cond
	held     bool
	// wanted is set if the announcement has to be sent, sent once it has been.
	wanted, sent bool
}

func newConn(c net.Conn) *conn {
	wrapped := &conn{Conn: c}
	wrapped.released.L = &wrapped.mu
	return wrapped
}

// Read records when the client sent data.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Store(time.Now().UnixNano())
	return n, err
}

// Write writes the server's data, and the announcement as soon as it is wanted and a
// frame can be inserted.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.held && c.free() {
		c.released.Wait()
	}
	place := c.scan(p)
	if !c.wanted || c.held || c.sent || place < 0 {
		return c.Conn.Write(p)
	}
	c.sent = true
	n, err := c.Conn.Write(p[:place])
	if err != nil {
		return n, err
	}
	if _, err := c.Conn.Write(announcement); err != nil {
		return n, err
	}
	if place == len(p) {
		return n, nil
	}
	rest, err := c.Conn.Write(p[place:])
	return n + rest, err
}

// announce asks the client to send no further requests over this connection.
//
// Go's client loses a request that it is about to send when the announcement arrives: it
// has already closed the body when it notices that the connection can't take the request.
// So announce waits until the client is silent. To achieve that, it holds the server's
// responses back: clients that wait for a response before they send the next request fall
// silent.
func (c *conn) announce() {
	c.mu.Lock()
	if c.wanted {
		c.mu.Unlock()
		return
	}
	c.wanted, c.held = true, true
	c.mu.Unlock()

	for begin := time.Now(); time.Since(begin) < patience; {
		quiet := min(time.Since(time.Unix(0, c.heard.Load())), time.Since(begin))
		if quiet >= silence {
			break
		}
		time.Sleep(silence - quiet)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	c.released.Broadcast()
	if c.sent || !c.free() {
		return
	}
	c.sent = true
	// The next read or write returns the error.
	_, _ = c.Conn.Write(announcement)
}
