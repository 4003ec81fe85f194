// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// written is a connection that keeps what is written to it.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) { return w.Buffer.Write(p) }

func (w *written) Read(p []byte) (int, error) { return w.Buffer.Read(p) }

// stream is what a server may write: settings, an answer whose header fields take
// two frames, data, a ping, an empty frame.
func stream(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	for _, err := range []error{
		f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}),
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}}),
		f.WriteContinuation(1, true, []byte{0x88}),
		f.WriteData(1, true, bytes.Repeat([]byte("x"), 300)),
		f.WritePing(true, [8]byte{}),
		f.WriteSettingsAck(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// kinds are the types of the frames in a stream; it fails where they are not well
// formed, above all where something is within a block of header fields.
func kinds(t *testing.T, data []byte) []http2.FrameType {
	t.Helper()
	f := http2.NewFramer(nil, bytes.NewReader(data))
	var all []http2.FrameType
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if err.Error() != "EOF" {
				t.Fatalf("after %v: %v", all, err)
			}
			return all
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok && (g.LastStreamID != maxStreamID || g.ErrCode != http2.ErrCodeNo) {
			t.Errorf("the announcement refuses requests: %v", g)
		}
		all = append(all, frame.Header().Type)
	}
}

// Wherever the writes are cut, and whenever the announcement is asked for, it is
// sent once and between two frames.
func TestAnnouncementStandsBetweenFrames(t *testing.T) {
	data := stream(t)
	for chunk := 1; chunk <= len(data); chunk++ {
		for at := 0; at <= len(data); at += chunk {
			w := &written{}
			c := newConn(w)
			for i := 0; i < len(data); i += chunk {
				if i == at {
					c.mu.Lock()
					c.wanted = true
					c.mu.Unlock()
				}
				n, err := c.Write(data[i:min(i+chunk, len(data))])
				if err != nil || n != min(chunk, len(data)-i) {
					t.Fatalf("wrote %d: %v", n, err)
				}
			}
			if at == len(data) {
				c.announce()
			}
			c.announce()
			got := kinds(t, w.Bytes())
			count := 0
			for i, kind := range got {
				if kind == http2.FrameGoAway {
					count++
					if i == 0 {
						t.Fatalf("it stands before the settings: %v", got)
					}
				}
			}
			if count != 1 || len(got) != 7 {
				t.Fatalf("writes of %d bytes, asked for at %d: %v", chunk, at, got)
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(stream(f), 7)
	f.Fuzz(func(_ *testing.T, data []byte, chunk int) {
		c := newConn(&written{})
		c.wanted = true
		if chunk <= 0 {
			chunk = 1
		}
		for len(data) > 0 {
			n := min(chunk, len(data))
			_, _ = c.Write(data[:n])
			data = data[n:]
		}
	})
}

// While the announcement waits for the client to fall silent, answers are held; a
// client that never falls silent does not hold them for long.
func TestAnswersAreHeldUntilTheClientIsSilent(t *testing.T) {
	data := stream(t)
	for _, talks := range []bool{false, true} {
		w := &written{}
		c := newConn(w)
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		stop, talked := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(talked)
			for talks {
				select {
				case <-stop:
					return
				default:
					c.heard.Store(time.Now().UnixNano())
					time.Sleep(time.Millisecond)
				}
			}
		}()
		begin := time.Now()
		announced := make(chan time.Duration, 1)
		go func() {
			c.announce()
			announced <- time.Since(begin)
		}()
		for held := false; !held; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			held = c.wanted
			c.mu.Unlock()
		}
		var ping bytes.Buffer
		if err := http2.NewFramer(&ping, nil).WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(ping.Bytes()); err != nil {
			t.Fatal(err)
		}
		took := <-announced
		close(stop)
		<-talked
		got := kinds(t, w.Bytes())
		if len(got) != 8 || got[6] != http2.FrameGoAway || got[7] != http2.FramePing {
			t.Errorf("talks %v: %v", talks, got)
		}
		if took < silence || talks && took < patience {
			t.Errorf("talks %v: announced after %s", talks, took)
		}
	}
}
