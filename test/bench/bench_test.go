// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestPercentiles(t *testing.T) {
	var all []time.Duration
	for i := 100; i > 0; i-- {
		all = append(all, time.Duration(i))
	}
	if p50, p99 := percentiles(all); p50 != 51 || p99 != 100 {
		t.Errorf("Of 1 to 100: %d and %d", p50, p99)
	}
	if p50, p99 := percentiles(nil); p50 != 0 || p99 != 0 {
		t.Errorf("Of nothing: %d and %d", p50, p99)
	}
}

// Each thing is done once, and failures are told from what there was not to do.
func TestMeasureCount(t *testing.T) {
	done := make([]bool, 50)
	odd := errors.New("odd")
	r := measureCount(t.Context(), 1, len(done), func(_ context.Context, i int) error {
		if done[i] {
			t.Errorf("%d is done twice", i)
		}
		done[i] = true
		if i%2 == 1 {
			return odd
		}
		return nil
	})
	if r.tries != 50 || r.failures != 25 || !errors.Is(r.failure, odd) || r.failed() != 0.5 {
		t.Errorf("Got %+v", r)
	}
	if err := parallel(t.Context(), 8, 50, func(_ context.Context, i int) error {
		if i == 40 {
			return odd
		}
		return nil
	}); !errors.Is(err, odd) {
		t.Errorf("The failure of one of many is told as %v", err)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":"12"},"x":{"resourceVersion":"3"}}}`: "12",
		`{"metadata":{}}`: "",
	} {
		if got := version([]byte(text)); got != want {
			t.Errorf("%s: got %q, not %q", text, got, want)
		}
	}
}

// An object put straight into etcd is another's copy in form, and names nothing
// of that one's.
func TestStored(t *testing.T) {
	s := &scaled{objects: 200, namespaces: []string{"epic-a", "epic-b"}}
	side := &side{api: resourceAPI}
	first, second := twoTunnels(0), twoTunnels(150)
	m := &model{nodes: nodesOf(&first), metadata: map[string]json.RawMessage{
		"name": json.RawMessage(`"lb0"`), "generation": json.RawMessage(`1`),
		"managedFields": json.RawMessage(`[{"fieldsV1":{"f:172.16.0.1":{"f:192.168.0.1":{}},"f:172.17.0.1":{"f:192.168.0.1":{}}}}]`),
	}}
	lb := s.wanted(side, 150)
	lb.Status = second
	text, err := m.stored(lb)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		metav1.ObjectMeta `json:"metadata"`
		Status            epicv1.ProxyStatus `json:"status"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "lb150" || got.Namespace != "epic-b" || got.UID == "" || got.Generation != 1 || len(got.Status.GUETunnelEndpoints) != 2 {
		t.Errorf("Got %s", text)
	}
	want := `{"f:172.16.0.2":{"f:192.168.0.151":{}},"f:172.17.0.2":{"f:192.168.0.151":{}}}`
	if fields := got.ManagedFields[0].FieldsV1.GetRawString(); fields != want {
		t.Errorf("The managed fields are %s, not %s", fields, want)
	}
}
