// SPDX-License-Identifier: Apache-2.0

package translate

import "time"

// limits are the limits of one proxy for its clients and endpoints, in addition to those
// of its edge settings.
type limits struct {
	// retries is the maximum number of concurrent retries of one cluster.
	retries uint32
	// connectTimeout limits the time to connect to an endpoint. The connection passes a
	// tunnel, and packets may be lost: Linux retransmits the first one after 1 s.
	connectTimeout time.Duration
	// connectAttempts is the number of attempts to connect to an endpoint, for a request
	// or a visitor's TCP connection. The delays between them grow from up to connectPause
	// to up to connectPauseMost, about 0.4 s together. Envoy may learn of a new endpoint
	// before the nodes on the path do, and of a removed one after them. In that time they
	// refuse connections to it, so it has the fewest connections and is chosen
	// repeatedly.
	connectAttempts                uint32
	connectPause, connectPauseMost time.Duration
	// buffer is the number of bytes of a connection that Envoy buffers before it stops
	// reading.
	buffer uint32
	// idle is the idle timeout of a TCP connection.
	idle time.Duration
	// udpIdle is the idle timeout of a UDP session.
	udpIdle time.Duration
	// headers is the maximum number of header fields of a request, headersKiB their
	// maximum total size.
	headers, headersKiB uint32
	// streams is the maximum number of concurrent requests of an HTTP/2 connection,
	// streamWindow and connectionWindow the maximum number of their bytes in flight.
	streams, streamWindow, connectionWindow uint32
	// headersTimeout limits the time until the headers of a request have arrived,
	// httpIdle is the idle timeout of a connection without a request, and streamIdle that
	// of a request.
	headersTimeout, httpIdle, streamIdle time.Duration
}

// The defaults follow Envoy's recommendations for edge proxies.
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
