// SPDX-License-Identifier: Apache-2.0

package requestbounds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// maxInFlight is the total weight of large bodies that are processed at the same
	// time.
	maxInFlight = 16 << 20
	// light is the size up to which a body does not wait: the limits on requests in
	// flight are sufficient for these.
	light = 16 << 10
)

// handler is the handler of the API behind the limits.
type handler struct {
	next   http.Handler
	codecs runtime.NegotiatedSerializer
	large  *semaphore.Weighted
}

// New applies the limits before next. The request info must be in the context. codecs
// encodes error responses.
func New(next http.Handler, codecs runtime.NegotiatedSerializer) http.Handler {
	return &handler{next: next, codecs: codecs, large: semaphore.NewWeighted(maxInFlight)}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	info, ok := genericapirequest.RequestInfoFrom(r.Context())
	if !ok || !info.IsResourceRequest || info.APIGroup != epic.GroupName || r.Body == nil || r.Body == http.NoBody {
		h.next.ServeHTTP(w, r)
		return
	}
	refuse := func(err error) {
		responsewriters.ErrorNegotiated(err, h.codecs, epicGroupVersion, w, r)
	}
	body, err := read(w, r, bodyLimit(info.Resource))
	if err != nil {
		refuse(err)
		return
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		// The decoder treats an absent or unknown type as JSON, or rejects it.
		mediaType = runtime.ContentTypeJSON
	}
	refusal, weight := check(mediaType, body)
	if refusal != "" {
		refuse(apierrors.NewRequestEntityTooLargeError(refusal))
		return
	}
	if weight > light {
		weight = min(weight, maxInFlight)
		if err := h.large.Acquire(r.Context(), weight); err != nil {
			refuse(apierrors.NewTimeoutError("the server is processing other large requests: try again", 1))
			return
		}
		defer h.large.Release(weight)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.next.ServeHTTP(w, r)
}

// read returns the body of a request, or an error if it is longer than most. It reads the
// whole body before the request takes its share of the total weight, so a slow client
// does not delay others.
func read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	tooLarge := apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the body is longer than %d bytes, the maximum for this resource: make the object smaller, or use several", most))
	if r.ContentLength > most {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var exceeded *http.MaxBytesError
	switch {
	case errors.As(err, &exceeded):
		return nil, tooLarge
	case err != nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body could not be read: %v", err))
	}
	return body, nil
}

var epicGroupVersion = schema.GroupVersion{Group: epic.GroupName, Version: "v1"}
