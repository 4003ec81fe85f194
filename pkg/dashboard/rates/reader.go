// SPDX-License-Identifier: Apache-2.0

package rates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
)

const (
	// fresh is how long a result is used, and mostQueries the maximum number of cached
	// results.
	fresh       = 15 * time.Second
	mostQueries = 128
	// atOnce is the maximum number of concurrent queries.
	atOnce = 4
)

// Reader returns cached rates, and reads those that are requested.
type Reader struct {
	// ctx outlives the pages that cause queries.
	ctx     context.Context
	source  *Source
	ask     ask
	touch   func()
	running chan struct{}

	mu      sync.Mutex
	answers map[string]*answer
	err     error
}

// answer is the last result of a query.
type answer struct {
	samples []sample
	at      time.Time
	asking  bool
}

// sample is one value with its labels.
type sample struct {
	labels map[string]string
	value  float64
}

// New returns a Reader that calls touch when it has read something new. kube may be nil
// without Kubernetes.
func New(ctx context.Context, s *Source, kube kubernetes.Interface, touch func()) (*Reader, error) {
	ask, err := s.asker(kube)
	if err != nil {
		return nil, err
	}
	return &Reader{ctx: ctx, source: s, ask: ask, touch: touch, running: make(chan struct{}, atOnce), answers: map[string]*answer{}}, nil
}

// Note returns the source of rates, or why there are none.
func (r *Reader) Note() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return fmt.Sprintf("Rates can't be read from %s: %v.", r.source, r.err)
	}
	return "Rates over the last 5 minutes, from " + r.source.String() + "."
}

// Namespace returns the rates of the proxies' pods in a namespace, by pod.
func (r *Reader) Namespace(namespace string) map[string]Pod {
	out := map[string]Pod{}
	matcher := fmt.Sprintf("{namespace=%s}", strconv.Quote(namespace))
	for _, s := range r.read(`sum by (pod) (rate(envoy_http_downstream_rq_total` + matcher + `[5m]))`) {
		pod := out[s.labels["pod"]]
		pod.Requests = s.value
		out[s.labels["pod"]] = pod
	}
	for _, s := range r.read(`sum by (pod) (rate(envoy_listener_downstream_cx_total` + matcher + `[5m]))`) {
		pod := out[s.labels["pod"]]
		pod.Connections = s.value
		out[s.labels["pod"]] = pod
	}
	return out
}

// Tunnels returns the known rates of tunnels, by ID.
func (r *Reader) Tunnels(ids []int32) map[int32]Tunnel {
	out := map[int32]Tunnel{}
	if len(ids) == 0 {
		return out
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		texts = append(texts, strconv.Itoa(int(id)))
	}
	matcher := `{tunnel=~"` + strings.Join(texts, "|") + `"}`
	each := func(query string, set func(t *Tunnel, value float64)) {
		for _, s := range r.read(query) {
			id, err := strconv.ParseInt(s.labels["tunnel"], 10, 32)
			if err != nil {
				continue
			}
			t := out[int32(id)]
			set(&t, s.value)
			out[int32(id)] = t
		}
	}
	each(`max by (tunnel) (epic_node_tunnel_round_trip_seconds`+matcher+`)`, func(t *Tunnel, v float64) { t.RoundTrip = time.Duration(v * float64(time.Second)) })
	each(`sum by (tunnel) (rate(epic_node_tunnel_received_bytes_total`+matcher+`[5m]))`, func(t *Tunnel, v float64) { t.Received = v })
	each(`sum by (tunnel) (rate(epic_node_tunnel_sent_bytes_total`+matcher+`[5m]))`, func(t *Tunnel, v float64) { t.Sent = v })
	return out
}

// read returns the last result of a query, and repeats the query if that is old.
func (r *Reader) read(query string) []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[query]
	if a == nil {
		if len(r.answers) >= mostQueries {
			r.forget()
		}
		a = &answer{}
		r.answers[query] = a
	}
	if !a.asking && time.Since(a.at) > fresh {
		a.asking = true
		go r.query(query, a)
	}
	return a.samples
}

// forget drops old results, or all.
func (r *Reader) forget() {
	for query, a := range r.answers {
		if time.Since(a.at) > fresh {
			delete(r.answers, query)
		}
	}
	if len(r.answers) >= mostQueries {
		clear(r.answers)
	}
}

// query runs a query and records the result.
func (r *Reader) query(query string, a *answer) {
	select {
	case r.running <- struct{}{}:
		defer func() { <-r.running }()
	case <-r.ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, queryTimeout)
	defer cancel()
	samples, err := parse(r.ask(ctx, query))
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	changed := fmt.Sprint(err) != fmt.Sprint(r.err) || len(samples) > 0 || len(a.samples) > 0
	a.asking, a.at, r.err = false, time.Now(), err
	if err == nil {
		a.samples = samples
	}
	r.mu.Unlock()
	if changed {
		r.touch()
	}
}

// parse parses the response of a Prometheus to an instant query.
func parse(body []byte, err error) ([]sample, error) {
	if err != nil {
		return nil, err
	}
	var response struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     []struct {
				Metric map[string]string  `json:"metric"`
				Value  [2]json.RawMessage `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &response); err != nil || response.Status == "" {
		return nil, errors.New("its response is not that of a Prometheus server")
	}
	if response.Status != "success" {
		return nil, errors.New(response.Error)
	}
	out := make([]sample, 0, len(response.Data.Result))
	for _, result := range response.Data.Result {
		var text string
		if err := json.Unmarshal(result.Value[1], &text); err != nil {
			return nil, errors.New("its response contains a value that is not text")
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
			continue
		}
		out = append(out, sample{labels: result.Metric, value: value})
	}
	return out, nil
}
