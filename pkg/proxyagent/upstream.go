// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"k8s.io/klog/v2"
)

// maxMessage limits a response of the operator.
const maxMessage = 64 << 20

// upstream is a stream to the operator.
type upstream struct {
	name      string
	conn      *grpc.ClientConn
	stream    discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel    context.CancelFunc
	responses chan *discoveryv3.DeltaDiscoveryResponse
	// failed is closed when the stream has ended; err is the reason.
	failed chan struct{}
	err    error
	// ready is when the stream was opened.
	ready time.Time
	// introduced holds the type URLs for which the operator got a request.
	introduced map[string]bool
	saidNode   bool
	counters   *counters
}

// counters are totals since the program started.
type counters struct {
	connections, bytes, resources, restarts, envoyStreams atomic.Int64
	connected                                             atomic.Bool
}

var upstreams atomic.Int64

// dialer opens streams to the operator.
type dialer struct {
	address, serverName string
	identity            *identity
	counters            *counters
}

// pickAny makes a connection use any of the addresses of a name.
const pickAny = `{"loadBalancingConfig":[{"pick_first":{"shuffleAddressList":true}}]}`

// conn returns a connection, with the certificate if withCertificate is set.
func (d *dialer) conn(withCertificate bool) (*grpc.ClientConn, error) {
	config, err := d.identity.clientTLS(d.serverName, withCertificate)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(d.address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultServiceConfig(pickAny),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithReadBufferSize(8<<10), grpc.WithWriteBufferSize(8<<10))
}

// open opens a stream.
func (d *dialer) open(ctx context.Context) (*upstream, error) {
	conn, err := d.conn(true)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	// The stream must outlive the time limit for opening it.
	giveUp := time.AfterFunc(10*time.Second, cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err == nil && !giveUp.Stop() {
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		_ = conn.Close()
		return nil, err
	}
	u := &upstream{
		name: strconv.FormatInt(upstreams.Add(1), 10), conn: conn, stream: stream, cancel: cancel, ready: time.Now(),
		responses: make(chan *discoveryv3.DeltaDiscoveryResponse), failed: make(chan struct{}),
		introduced: map[string]bool{}, counters: d.counters,
	}
	go u.receive(ctx)
	return u, nil
}

func (u *upstream) receive(ctx context.Context) {
	defer close(u.failed)
	for {
		r, err := u.stream.Recv()
		if err != nil {
			u.err = err
			return
		}
		u.counters.bytes.Add(int64(proto.Size(r)))
		u.counters.resources.Add(int64(len(r.Resources)))
		select {
		case u.responses <- r:
		case <-ctx.Done():
			u.err = ctx.Err()
			return
		}
	}
}

// send sends a request. The first names the node.
func (u *upstream) send(r *discoveryv3.DeltaDiscoveryRequest, node *corev3.Node) error {
	u.introduced[r.TypeUrl] = true
	if !u.saidNode {
		r.Node = node
		u.saidNode = true
	}
	return u.stream.Send(r)
}

func (u *upstream) close() {
	u.cancel()
	_ = u.conn.Close()
}

const (
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff returns the delay after a number of consecutive failures, with jitter so that
// proxies do not synchronize.
func backoff(failures int, least, most time.Duration) time.Duration {
	d := min(least<<min(failures, 16), most)
	return d/2 + rand.N(d) //nolint:gosec // jitter needs no secrecy
}

// connect opens a stream and retries until it succeeds. It returns nil when ctx ends.
func (d *dialer) connect(ctx context.Context, failures int) *upstream {
	logger := klog.FromContext(ctx)
	select {
	case <-d.identity.has:
	case <-ctx.Done():
		return nil
	}
	for ; ; failures++ {
		if failures > 0 && !sleep(ctx, backoff(failures-1, minBackoff, maxBackoff)) {
			return nil
		}
		u, err := d.open(ctx)
		if err == nil {
			return u
		}
		if ctx.Err() != nil {
			return nil
		}
		d.identity.suspect(err)
		if failures%10 == 1 {
			logger.Info("Can't reach the operator; Envoy keeps its configuration", "operator", d.address, "err", err.Error())
		}
	}
}

// sleep waits, and returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
