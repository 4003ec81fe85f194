// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// showRules are idRules of objects that show the last tunnel ID. All of them share
// the field, which is outside them.
type showRules struct {
	idRules
	id int32
}

func (r *showRules) LastIDs(runtime.Object) []LastID {
	return []LastID{{Space: TunnelIDs, ID: &r.id}}
}

// wrapped are rules in others, as a kind's are.
type wrapped struct{ Rules }

func (w wrapped) Unwrap() Rules { return w.Rules }

func TestLastIDs(t *testing.T) {
	endpoint, stop := stoppableEtcd(t, nil)
	b, err := NewBackend(t.Context(), storagebackend.Config{Prefix: "/last", Transport: storagebackend.TransportConfig{ServerList: []string{endpoint}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	show := &showRules{}
	shows, assigns := storeFor(t, b, "shows", wrapped{show}), storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	if !ShowsLastIDs(wrapped{show}) || ShowsLastIDs(wrapped{&idRules{}}) {
		t.Error("rules that show IDs are not told from others")
	}
	outdated := func(resource string, want bool) {
		t.Helper()
		got, err := b.Outdated(t.Context(), resource, pod("a"), pod("b"))
		if err != nil || len(got) != 2 || got[0] != want || got[1] != want {
			t.Errorf("outdated: %v, %v", got, err)
		}
	}
	mustCreate(t, shows, "shows", pod("a"))
	outdated("shows", false)
	mustCreate(t, assigns, "pods", pod("a", wantAnnotation, "3"))
	outdated("shows", true)
	outdated("pods", false)
	mustAnnotate(t, shows, "shows", "a", "x", "y")
	if outdated("shows", false); show.id != 3 {
		t.Errorf("stored %d", show.id)
	}
	if err := b.Preview(t.Context(), "shows", pod("a"), pod("a", "x", "z")); err != nil {
		t.Error(err)
	}
	if _, err := b.Outdated(t.Context(), "others", pod("a")); err == nil {
		t.Error("no error for a kind that is not there")
	}

	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := b.Outdated(ctx, "shows", pod("a")); err == nil || responsewriters.ErrorToAPIStatus(err).Code != http.StatusGatewayTimeout {
		t.Errorf("without etcd: %v", err)
	}
	if _, err := annotate(ctx, shows, "shows", "a", "x", "z"); err == nil || responsewriters.ErrorToAPIStatus(err).Code != http.StatusGatewayTimeout {
		t.Errorf("a write without etcd: %v", err)
	}
}
