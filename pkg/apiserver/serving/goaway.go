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
	// maxStreamID is the highest that there can be.
	maxStreamID = 1<<31 - 1
)

// announcement is a GOAWAY frame that refuses no request.
var announcement = func() []byte {
	frame := make([]byte, frameHeaderSize, frameHeaderSize+8)
	frame[2] = 8 // length
	frame[3] = byte(http2.FrameGoAway)
	frame = binary.BigEndian.AppendUint32(frame, maxStreamID)
	return binary.BigEndian.AppendUint32(frame, uint32(http2.ErrCodeNo))
}()

// frames follows the frames in a stream of bytes, to find where another one may be
// put in.
type frames struct {
	header [frameHeaderSize]byte
	// have counts the bytes of the header that are known, left those of the
	// payload that are still to come.
	have int
	left uint32
	// begun is set when the first frame, the server's settings, is complete.
	begun bool
	// block is set within a block of header fields, which nothing may interrupt.
	block bool
}

// free reports whether a frame may follow here.
func (f *frames) free() bool {
	return f.begun && f.have == 0 && !f.block
}

// scan continues by p, and returns after how many bytes of p the last place is at
// which a frame may be put in; -1 if there is none.
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

// end is called when a frame is complete.
func (f *frames) end() {
	f.have = 0
	f.begun = true
	switch http2.FrameType(f.header[3]) {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		f.block = !http2.Flags(f.header[4]).Has(http2.FlagHeadersEndHeaders)
	}
}

const (
	// silence is how long a client has to send nothing before the announcement.
	silence = 100 * time.Millisecond
	// patience is how long a server waits for that.
	patience = time.Second
)

// conn is a connection on which a server of HTTP/2 writes frames.
type conn struct {
	net.Conn

	// heard is when the client was heard last, in nanoseconds.
	heard atomic.Int64

	mu sync.Mutex
	frames
	// released tells writes that wait that held is no longer set.
	released sync.Cond
	held     bool
	// wanted is set when the announcement is to be sent, sent when it has been.
	wanted, sent bool
}

func newConn(c net.Conn) *conn {
	wrapped := &conn{Conn: c}
	wrapped.released.L = &wrapped.mu
	return wrapped
}

// Read notes when the client was heard.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Store(time.Now().UnixNano())
	return n, err
}

// Write sends what the server writes, and the announcement as soon as it is
// wanted and a frame may stand there.
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

// announce tells the client to send no further requests over this connection.
//
// Go's client loses a request that it is about to send when the announcement
// arrives: it has closed the body when it finds that the connection can't take the
// request. So the announcement waits for a moment at which the client sends
// nothing. For that, the server's answers are held: clients that send a request
// when they have the answer to the last one fall silent.
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
	// Whoever reads or writes next learns of an error.
	_, _ = c.Conn.Write(announcement)
}
