// SPDX-License-Identifier: Apache-2.0

package rates

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"monitoring/prometheus-operated:9090": "monitoring/prometheus-operated:9090",
		"http://127.0.0.1:9090":               "http://127.0.0.1:9090",
		"http://127.0.0.1:9090/prometheus/":   "http://127.0.0.1:9090/prometheus",
		"http://[::1]:9090":                   "http://[::1]:9090",
		"http://localhost:9090":               "error: not on this machine",
		"http://192.0.2.1:9090":               "error: not on this machine",
		"http://prometheus.example":           "error: not on this machine",
		"https://127.0.0.1:9090":              "error: is not a URL such as",
		"http://user:secret@127.0.0.1:9090":   "error: is not a URL such as",
		"http://127.0.0.1:9090/?a=b":          "error: is not a URL such as",
		"prometheus:9090":                     "error: NAMESPACE/SERVICE:PORT",
		"monitoring/prometheus":               "error: NAMESPACE/SERVICE:PORT",
		"monitoring/prometheus:0":             "error: NAMESPACE/SERVICE:PORT",
		"monitoring/../secrets:80":            "error: NAMESPACE/SERVICE:PORT",
		"a/b/c:80":                            "error: NAMESPACE/SERVICE:PORT",
	} {
		got, err := ParseSource(text)
		if want, is := strings.CutPrefix(want, "error: "); is {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := ParseSource(""); got != nil || err != nil {
		t.Error(got, err)
	}
}

// prometheus answers queries as a Prometheus does.
type prometheus struct {
	mu      sync.Mutex
	status  int
	body    string
	queries []string
	path    string
}

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	query := r.URL.Query().Get("query")
	p.queries, p.path = append(p.queries, query), r.URL.Path
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	w.Header().Set("Content-Type", "application/json")
	if p.body != "" {
		fmt.Fprint(w, p.body)
		return
	}
	label, value := `"pod":"shop-1"`, "12.5"
	if strings.Contains(query, "epic_node_tunnel") {
		label, value = `"tunnel":"7"`, "0.021"
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{%s},"value":[1,%q]},{"metric":{"pod":"nan","tunnel":"x"},"value":[1,"NaN"]}]}}`, label, value)
}

// reader returns a Reader of a server, and a channel that it writes to for each change.
func reader(t *testing.T, p *prometheus, kube bool) (*Reader, <-chan struct{}) {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	touched := make(chan struct{}, 64)
	source, client := &Source{URL: server.URL}, kubernetes.Interface(nil)
	if kube {
		source = &Source{Namespace: "monitoring", Service: "prometheus", Port: 9090}
		client = kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL})
	}
	r, err := New(ctx, source, client, func() { touched <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	return r, touched
}

func TestReader(t *testing.T) {
	for name, kube := range map[string]bool{"direct": false, "through the kube-apiserver": true} {
		t.Run(name, func(t *testing.T) {
			p := &prometheus{}
			r, touched := reader(t, p, kube)
			if got := r.Namespace("epic-acme"); len(got) != 0 {
				t.Errorf("Before it has read: %v", got)
			}
			<-touched
			<-touched
			if got := r.Namespace("epic-acme"); got["shop-1"] != (Pod{Requests: 12.5, Connections: 12.5}) || len(got) != 1 {
				t.Errorf("%v", got)
			}
			r.Tunnels([]int32{7, 3, 7})
			for range 3 {
				<-touched
			}
			if got := r.Tunnels([]int32{3, 7}); got[7].RoundTrip != 21*time.Millisecond || got[7].Sent != 0.021 || len(got) != 1 {
				t.Errorf("%v", got)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			// A fresh answer is not asked for again.
			if len(p.queries) != 5 {
				t.Errorf("%q", p.queries)
			}
			for _, query := range p.queries {
				if !strings.Contains(query, `{namespace="epic-acme"}`) && !strings.Contains(query, `{tunnel=~"3|7"}`) {
					t.Errorf("%s", query)
				}
			}
			want := "/api/v1/query"
			if kube {
				want = "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query"
			}
			if p.path != want || !strings.Contains(r.Note(), "from "+r.source.String()) {
				t.Errorf("%s, %s", p.path, r.Note())
			}
		})
	}
}

// A failure is reported, and nothing else changes.
func TestReaderFails(t *testing.T) {
	for name, test := range map[string]struct {
		p    *prometheus
		kube bool
		want string
	}{
		"no Prometheus": {&prometheus{body: "<html>"}, false, "not that of a Prometheus"},
		"a bad query":   {&prometheus{body: `{"status":"error","error":"parse error"}`}, false, "parse error"},
		"a refusal":     {&prometheus{status: http.StatusServiceUnavailable}, false, "503"},
		"a redirect":    {&prometheus{status: http.StatusFound}, false, "302"},
		"no right":      {&prometheus{status: http.StatusForbidden, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`}, true, "you may not get services/proxy in namespace monitoring"},
	} {
		t.Run(name, func(t *testing.T) {
			r, touched := reader(t, test.p, test.kube)
			r.Namespace("epic-acme")
			<-touched
			if got := r.Note(); !strings.Contains(got, test.want) {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A server without Kubernetes has no Services.
func TestNewAlone(t *testing.T) {
	if _, err := New(t.Context(), &Source{Namespace: "a", Service: "b", Port: 1}, nil, func() {}); err == nil || !strings.Contains(err.Error(), "on this machine") {
		t.Error(err)
	}
}

// However many queries there are, memory is bounded.
func TestForget(t *testing.T) {
	r := &Reader{answers: map[string]*answer{}}
	for i := range mostQueries + 10 {
		if len(r.answers) >= mostQueries {
			r.forget()
		}
		r.answers[fmt.Sprint(i)] = &answer{at: time.Now()}
	}
	if len(r.answers) > mostQueries {
		t.Error(len(r.answers))
	}
}
