// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

// running is a server of this package, at an address.
type running struct {
	*server
	address string
	pool    *x509.CertPool
	served  atomic.Int64
	// close ends it as the generic server does.
	close func()
}

func start(t *testing.T, handler http.Handler, delay time.Duration) *running {
	t.Helper()
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := dynamiccertificates.NewStaticCertKeyContent("test", certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{address: ln.Addr().String(), pool: x509.NewCertPool()}
	r.pool.AppendCertsFromPEM(certPEM)
	counted := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.served.Add(1)
		handler.ServeHTTP(w, req)
	})
	s, err := newServer(t.Context(), &genericapiserver.SecureServingInfo{Cert: pair, HTTP2MaxStreamsPerConnection: 1000}, counted, delay)
	if err != nil {
		t.Fatal(err)
	}
	r.server = s
	l := &listener{Listener: ln, server: s.http}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	r.close = sync.OnceFunc(func() {
		if err := l.Close(); err != nil {
			t.Errorf("it does not end: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Cleanup(r.close)
	return r
}

func (r *running) tls(protos ...string) *tls.Config {
	return &tls.Config{RootCAs: r.pool, ServerName: "localhost", NextProtos: protos}
}

var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(w, r.Body)
})

// A request that is sent before the client has read the announcement is served.
func TestRequestsThatCrossTheAnnouncementAreServed(t *testing.T) {
	r := start(t, echo, 0)
	c, err := (&tls.Dialer{Config: r.tls("h2")}).DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	// :method POST, :scheme https, :path /, :authority localhost.
	request := []byte{0x83, 0x87, 0x84, 0x41, 9, 'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't'}
	send := func(id uint32) {
		t.Helper()
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: request, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteData(id, true, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	// answer reads up to the end of a stream.
	answer := func(id uint32) (announced bool) {
		t.Helper()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatalf("stream %d: %v", id, err)
			}
			switch frame := frame.(type) {
			case *http2.GoAwayFrame:
				announced = true
				if frame.LastStreamID < id {
					t.Fatalf("stream %d is refused: %v", id, frame)
				}
			case *http2.DataFrame:
				if frame.StreamID == id && frame.StreamEnded() {
					return announced
				}
			case *http2.RSTStreamFrame:
				t.Fatal(frame)
			}
		}
	}
	send(1)
	if answer(1) {
		t.Error("the server leaves before it is told to")
	}
	r.announce()
	send(3)
	announced := answer(3)
	send(5)
	announced = answer(5) || announced
	send(7)
	if announced = answer(7) || announced; !announced {
		t.Error("there was no announcement")
	}
	if n := r.served.Load(); n != 4 {
		t.Errorf("%d requests were served", n)
	}
}

// once is a body that can't be sent a second time, nor read when it was closed, as a
// proxy has it.
type once struct {
	io.Reader
	closed atomic.Bool
}

func (o *once) Read(p []byte) (int, error) {
	if o.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return o.Reader.Read(p)
}

func (o *once) Close() error {
	o.closed.Store(true)
	return nil
}

// A client that continues all the while a server leaves loses nothing: it comes to
// the other server. Its requests have bodies, so no transport sends them again.
func TestNothingIsLostWhileAServerLeaves(t *testing.T) {
	const delay = 3 * time.Second
	a, b := start(t, echo, delay), start(t, echo, 0)
	var left atomic.Bool
	// As the kube-apiserver's.
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{},
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			to := a
			if left.Load() {
				to = b
			}
			return (&tls.Dialer{Config: to.tls("h2")}).DialContext(ctx, "tcp", to.address)
		},
	}
	if _, err := http2.ConfigureTransports(transport); err != nil { //nolint:staticcheck // the kube-apiserver does so
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/", &once{Reader: strings.NewReader("hello")})
				if err != nil {
					t.Error(err)
					return
				}
				if err := do(client, req); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for a.served.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	left.Store(true)
	a.letGo()
	before := a.served.Load()
	if before == 0 || b.served.Load() == 0 {
		t.Errorf("%d requests went to the one, %d to the other", before, b.served.Load())
	}
	time.Sleep(50 * time.Millisecond)
	if after := a.served.Load(); after != before {
		t.Errorf("after the delay %d requests still came", after-before)
	}
	a.close()
	stop()
	wg.Wait()
}

func do(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != "hello" {
		err = fmt.Errorf("the answer is %q", body)
	}
	return err
}

// With HTTP/1 the answer ends the connection.
func TestHTTP1ConnectionsEndWithTheAnswer(t *testing.T) {
	r := start(t, echo, 0)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.tls("http/1.1")}}
	for _, leaving := range []bool{false, true} {
		r.leaving.Store(leaving)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.address, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Close != leaving {
			t.Errorf("leaving %v: the connection ends %v", leaving, resp.Close)
		}
	}
}
