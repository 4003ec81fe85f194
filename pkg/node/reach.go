// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/http"
	"sync"
)

// Reach notes whether the API answers. What follows the API does not notice: a watch that nobody
// answers, or whose connection is cut, is begun again without an error.
type Reach struct {
	mu  sync.Mutex
	err error
}

// Wrap has the requests of a client noted.
func (r *Reach) Wrap(next http.RoundTripper) http.RoundTripper { return &reaching{r, next} }

// Err returns why the last request got no answer; nil if it got one.
func (r *Reach) Err() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

type reaching struct {
	*Reach
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (r *reaching) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(request)
	// What this program itself gives up says nothing about the API.
	if err == nil || request.Context().Err() == nil {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return answer, err
}

// WrappedRoundTripper lets the client find the transport.
func (r *reaching) WrappedRoundTripper() http.RoundTripper { return r.next }
