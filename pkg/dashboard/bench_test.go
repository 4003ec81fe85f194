// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/acnodal/epic/pkg/overview"
)

// BenchmarkBuild builds the model of 1,000 load balancers with 10,000 endpoints.
func BenchmarkBuild(b *testing.B) {
	o := manyObjects(1000)
	b.ReportAllocs()
	for b.Loop() {
		overview.Build(o)
	}
}

// BenchmarkPages renders pages of 1,000 load balancers.
func BenchmarkPages(b *testing.B) {
	p := newPages(&Options{Feed: feedOf(manyProxies(1000))})
	p.base = "/base/"
	for name, path := range map[string]string{"overview": "", "proxies": "proxies", "search": "proxies?q=shop-0077", "problems": "problems", "account": "accounts/epic-tenant-3", "proxy": "accounts/epic-tenant-7/loadbalancer/shop-0077"} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				p.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/base/"+path, http.NoBody))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
