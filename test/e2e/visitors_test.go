// SPDX-License-Identifier: Apache-2.0

//go:build linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a visitor waits for a response.
const patience = 10 * time.Second

// service is the target of visitors' requests: an address served by one tenant's pod.
type service struct {
	*site
	// server is the name of the pod, which its responses begin with.
	server string
}

// opened is a visitor's connection.
type opened struct {
	net.Conn
	reader *bufio.Reader
}

// open connects to the service.
func (s *service) open(ctx context.Context) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := dialVisitor(ctx, s.address+":8888")
	if err != nil {
		return nil, err
	}
	return &opened{conn, bufio.NewReader(conn)}, nil
}

// ask sends one request on an open connection. It returns a wrongAnswerError if the response
// comes from anything but the service's own pod at its own public address.
func (s *service) ask(conn *opened, query string, headers ...string) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	lines := append([]string{"GET /" + query + " HTTP/1.1", "Host: shop"}, headers...)
	if _, err := fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(conn.reader, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), s.server+" "+s.address+":") {
		return wrongAnswerError(fmt.Sprintf("%s: %s", answer.Status, body))
	}
	return nil
}

type wrongAnswerError string

func (w wrongAnswerError) Error() string { return "a wrong answer: " + string(w) }

// wrong reports whether a response arrived that differs from the expected one.
func (f failure) wrong() bool {
	var wrong wrongAnswerError
	return errors.As(f.err, &wrong)
}

// failure is a request that did not get the expected response.
type failure struct {
	service *service
	// began is when the visitor began to connect, open when the connection was open, or zero,
	// and ended when the visitor knew that the request failed.
	began, open, ended time.Time
	err                error
	// again is what happened when the visitor asked at once again, by another connection.
	again error
}

func (f failure) String() string {
	state := "before it was connected"
	if !f.open.IsZero() {
		state = "connected after " + f.open.Sub(f.began).Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%s %s, %s, failed after %s: %v; again: %v", f.began.Format(clock), f.service.server, state,
		f.ended.Sub(f.began).Round(time.Millisecond), f.err, f.again)
}

// visitors send requests to services continuously, each on a separate connection.
type visitors struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	asked atomic.Int64

	mu     sync.Mutex
	failed []failure
}

// visitorsOfEach is the number of visitors of each service. Every second one requests what
// takes a while, so some requests are always in progress.
const visitorsOfEach = 4

func visit(services []*service) *visitors {
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{stop: cancel}
	for _, s := range services {
		for n := range visitorsOfEach {
			query := ""
			if n%2 == 1 {
				query = "?wait=500ms"
			}
			v.group.Go(func() {
				for ctx.Err() == nil {
					v.once(s, query)
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
	}
	return v
}

func (v *visitors) once(s *service, query string) {
	f := failure{service: s, began: time.Now()}
	f.open, f.err = request(s, query)
	v.asked.Add(1)
	if f.err == nil {
		return
	}
	f.ended = time.Now()
	_, f.again = request(s, query)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed = append(v.failed, f)
}

// request sends one request on a separate connection and returns when that was opened.
func request(s *service, query string) (open time.Time, err error) {
	conn, err := s.open(context.Background())
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	open = time.Now()
	return open, s.ask(conn, query, "Connection: close")
}

// end waits for all requests in progress.
func (v *visitors) end() []failure {
	v.stop()
	v.group.Wait()
	return v.failed
}

// excuse reports whether a failure is one that the documentation allows.
type excuse func(failure) bool

// strict excuses no failure.
func strict(failure) bool { return false }

// moved allows that a connection breaks that was open, or was being opened, when a path of its
// address was removed, if the visitor is served when they ask again.
func (r *router) moved(begin time.Time) excuse {
	return func(f failure) bool {
		if f.open.IsZero() || f.wrong() || f.again != nil {
			return false
		}
		return slices.ContainsFunc(r.since(begin), func(c pathChange) bool {
			return c.address == netip.MustParseAddr(f.service.address) && c.removed() && !c.done.Before(f.began) && !c.from.After(f.ended)
		})
	}
}

// during runs do while visitors send requests and fails the test for each failure without an excuse.
func (f *fleet) during(t *testing.T, do func(t *testing.T), excuses ...excuse) {
	t.Helper()
	v := visit(f.services)
	defer v.stop()
	begin := time.Now()
	do(t)
	time.Sleep(2 * time.Second)
	took := time.Since(begin)
	failed := v.end()
	allowed := 0
	for _, failure := range failed {
		if slices.ContainsFunc(excuses, func(e excuse) bool { return e(failure) }) {
			t.Logf("allowed: %s", failure)
			allowed++
		}
	}
	asked := v.asked.Load()
	t.Logf("%d requests in %s, %d failed, and %d of these were open connections that had to break", asked, took.Round(time.Second), len(failed), allowed)
	// A visitor has one connection at a time.
	if most := 2 * visitorsOfEach * len(f.services); allowed > most {
		t.Errorf("%d connections broke, where there are never more than %d", allowed, most)
	}
	if enough := int64(took.Seconds()) * 10; asked < enough {
		t.Errorf("there were %d requests, which is too few: want %d", asked, enough)
	}
	reported := 0
	for _, failure := range failed {
		if !slices.ContainsFunc(excuses, func(e excuse) bool { return e(failure) }) {
			if reported++; reported <= 20 {
				t.Errorf("a request failed: %s", failure)
			}
		}
	}
}

// held is a set of connections that stay open and in use.
type held struct {
	stop  context.CancelFunc
	group sync.WaitGroup
	conns []*heldConn
}

type heldConn struct {
	*opened
	// path is the node that it went to when it was opened, and err why it broke.
	path string
	err  error
}

// hold opens connections and uses each once a second, because routers may move idle ones.
// It closes those that go to one node at once.
func (f *fleet) hold(t *testing.T, s *service, count int, but string) *held {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h := &held{stop: cancel}
	for range count {
		conn, err := s.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := s.ask(conn, ""); err != nil {
			t.Fatal(err)
		}
		c := &heldConn{opened: conn, path: f.router.pathOf(t, conn)}
		if c.path == but {
			conn.Close()
			continue
		}
		h.conns = append(h.conns, c)
		h.group.Go(func() {
			for c.err == nil && ctx.Err() == nil {
				time.Sleep(time.Second)
				c.err = s.ask(c.opened, "")
			}
		})
	}
	return h
}

// end returns how many connections to each node broke and how many there were.
func (h *held) end(t *testing.T) (broken, all map[string]int) {
	t.Helper()
	h.stop()
	h.group.Wait()
	broken, all = map[string]int{}, map[string]int{}
	for _, c := range h.conns {
		all[c.path]++
		if c.err != nil {
			broken[c.path]++
		}
	}
	for path, n := range all {
		t.Logf("%d of %d connections to %s broke", broken[path], n, path)
	}
	return broken, all
}
