// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/envoy/translate"
)

// manyRoutes is a gateway proxy with routes that each have a hostname, a match and a
// Service of their own with two endpoints.
func manyRoutes(tb testing.TB, n int) *world {
	tb.Helper()
	var text strings.Builder
	text.WriteString("apiVersion: epic.acnodal.io/v1\nkind: GWProxy\nmetadata: {name: gw}\nspec: {public-address: 192.0.2.1, public-ports: [{port: 80, protocol: TCP}]}\n")
	for i := range n {
		fmt.Fprintf(&text, `---
apiVersion: epic.acnodal.io/v1
kind: GWRoute
metadata: {name: route-%[1]d}
spec: {http: {parentRefs: [{name: gw}], hostnames: [h%[1]d.example.com], rules: [{matches: [{path: {value: /a}}], backendRefs: [{name: service-%[1]d, port: 80}]}]}}
---
apiVersion: epic.acnodal.io/v1
kind: GWEndpointSlice
metadata: {name: slice-%[1]d}
spec:
  parentRef: {uid: service-%[1]d}
  nodeAddresses: {n1: 192.168.1.1}
  addressType: IPv4
  endpoints: [{addresses: [10.1.%[2]d.%[3]d], nodeName: n1}, {addresses: [10.2.%[2]d.%[3]d], nodeName: n1}]
  ports: [{port: 8080, protocol: TCP}]
`, i, i/250, i%250+1)
	}
	return parseWorld(tb, []byte(text.String()))
}

// BenchmarkGateway is the translation of a proxy with 1,000 routes: of all, and after a
// change of one.
func BenchmarkGateway(b *testing.B) {
	w := manyRoutes(b, 1000)
	in := translate.GatewayInput{Proxy: w.proxy, Routes: w.routes, Services: w.services()}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			translate.Gateway(in)
		}
	})
	b.Run("one", func(b *testing.B) {
		in := in
		in.Earlier = translate.Gateway(in)
		for i := 0; b.Loop(); i++ {
			in.Routes[i%len(in.Routes)] = in.Routes[i%len(in.Routes)].DeepCopy()
			in.Earlier = translate.Gateway(in)
		}
	})
}

// BenchmarkAssignment is what a change of an endpoint takes.
func BenchmarkAssignment(b *testing.B) {
	w := manyRoutes(b, 1)
	r := translate.Gateway(translate.GatewayInput{Proxy: w.proxy, Routes: w.routes, Services: w.services()})
	for b.Loop() {
		r.Backends[0].Assignment(translate.EndpointsInput{Namespace: w.proxy.Namespace, Slices: w.slices})
	}
}

// BenchmarkEnvoyMemory is the private memory of an Envoy with 1,000 routes, next to one
// with none.
func BenchmarkEnvoyMemory(b *testing.B) {
	w := manyRoutes(b, 1000)
	set := w.translate(b).set
	envoy := startEnvoy(b)
	if err := envoy.Apply(nil); err != nil {
		b.Fatal(err)
	}
	private := func() float64 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", envoy.PID()))
		if err != nil {
			b.Skip(err)
		}
		sum := 0
		for line := range strings.Lines(string(text)) {
			var kib int
			if _, err := fmt.Sscanf(line, "Private_Dirty: %d kB", &kib); err == nil {
				sum += kib
			}
		}
		return float64(sum) / 1024
	}
	empty := private()
	if err := envoy.Update(unbound(b, set)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
	}
	b.ReportMetric(empty, "MiB-empty")
	b.ReportMetric(private(), "MiB-1000-routes")
}
