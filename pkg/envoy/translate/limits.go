// SPDX-License-Identifier: Apache-2.0

package translate

import "time"

// limits are the bounds of what one proxy does for its clients and asks of its
// endpoints, in addition to those of its edge settings.
type limits struct {
	// retries is how many retries of one cluster run at once.
	retries uint32
	// connectTimeout is how long a connection to an endpoint may take. It passes a
	// tunnel, and packets may get lost: Linux repeats the first one after 1 s.
	connectTimeout time.Duration
	// connectAttempts is how often a connection to an endpoint is tried, for a request or a
	// visitor's TCP connection. The pauses between them grow from up to connectPause to up
	// to connectPauseMost, about 0.4 s together. Envoy may learn of a new endpoint before
	// the nodes on the way do, and of a removed one after them. They refuse connections to
	// it, so it has the fewest and is chosen again and again.
	connectAttempts                uint32
	connectPause, connectPauseMost time.Duration
	// buffer is how many bytes of a connection Envoy buffers before it stops reading.
	buffer uint32
	// idle is how long a TCP connection may be silent.
	idle time.Duration
	// udpIdle is how long a UDP session is kept without a packet.
	udpIdle time.Duration
	// headers is how many header fields a request may have, headersKiB how large they
	// may be together.
	headers, headersKiB uint32
	// streams is how many requests one HTTP/2 connection may have at once, streamWindow
	// and connectionWindow how many bytes of them are in flight.
	streams, streamWindow, connectionWindow uint32
	// headersTimeout is how long the headers of a request may take to arrive, httpIdle
	// how long a connection without a request is kept, and streamIdle how long a request
	// may be silent.
	headersTimeout, httpIdle, streamIdle time.Duration
}

// The defaults follow Envoy's advice for a proxy on the edge.
var defaultLimits = limits{
	retries:          1_024,
	connectTimeout:   2 * time.Second,
	connectAttempts:  8,
	connectPause:     10 * time.Millisecond,
	connectPauseMost: 250 * time.Millisecond,
	buffer:           32 << 10,
	idle:             time.Hour,
	udpIdle:          time.Minute,
	headers:          100,
	headersKiB:       60,
	streams:          100,
	streamWindow:     64 << 10,
	connectionWindow: 1 << 20,
	headersTimeout:   10 * time.Second,
	httpIdle:         time.Hour,
	streamIdle:       5 * time.Minute,
}
