// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/dashboard/live"
)

// stream opens a stream of events.
func (s *Server) stream(t *testing.T) (*http.Response, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.guard.hosts[0]+s.guard.base+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: cookieName, Value: s.guard.cookie()})
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response, cancel
}

// next returns the data of the next change.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			return strings.TrimSpace(data)
		}
	}
}

func TestEvents(t *testing.T) {
	f := feedOf(modelOf(t, "platform"))
	s := serve(t, Options{Feed: f})
	response, _ := s.stream(t)
	r := bufio.NewReader(response.Body)
	if got, want := next(t, r), `{"sequence":1,"connected":true,"problems":4,"bad":2}`; got != want || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s, want %s", got, want)
	}
	f.set(func(s *live.Snapshot) { s.Connected = false })
	if got, want := next(t, r), `{"sequence":2,"connected":false,"problems":4,"bad":2}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Too many streams are refused, and one that ends makes room.
func TestManyStreams(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	var cancel context.CancelFunc
	for range mostStreams {
		var response *http.Response
		if response, cancel = s.stream(t); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	if response, _ := s.stream(t); response.StatusCode != http.StatusServiceUnavailable {
		t.Error(response.Status)
	}
	cancel()
	for {
		if response, _ := s.stream(t); response.StatusCode == http.StatusOK {
			return
		}
	}
}
