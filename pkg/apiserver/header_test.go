// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/skew"
)

// Every response, also a refusal, has the server's version.
func TestVersionHeader(t *testing.T) {
	for _, code := range []int{http.StatusOK, http.StatusForbidden} {
		w := httptest.NewRecorder()
		withVersion(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if got := w.Header().Get(skew.ServerHeader); w.Code != code || got != buildinfo.Release() {
			t.Errorf("%d with %q", w.Code, got)
		}
	}
}
