// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/http"
	"sync"
)

// Reach tracks whether the API responds. Watches do not show it: a watch without a
// response, or whose connection is cut, is restarted without an error.
type Reach struct {
	mu  sync.Mutex
	err error
}

// Wrap returns a RoundTripper that tracks the requests of a client.
func (r *Reach) Wrap(next http.RoundTripper) http.RoundTripper { return &reaching{r, next} }

// Err returns why the last request got no response, or nil if it got one.
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
	// A request canceled by this program does not show anything about the API.
	if err == nil || request.Context().Err() == nil {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return answer, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper.
func (r *reaching) WrappedRoundTripper() http.RoundTripper { return r.next }
