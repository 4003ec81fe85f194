// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/credential"
	"github.com/acnodal/epic/pkg/credential/nodeexchange"
)

func own(t *testing.T) *credential.Credential {
	t.Helper()
	c, err := credential.Parse([]byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": "secret-of-the-connector"}}],
"contexts": [{"name": "c", "context": {"cluster": "s", "user": "u", "namespace": "epic-acme"}}], "clusters": [{"name": "s", "cluster": {"server": "https://192.0.2.1"}}]}`), "/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServer(t *testing.T) {
	has := own(t)
	s := &Server{
		Authenticate: func(_ context.Context, token string) (string, error) {
			if node, ok := strings.CutPrefix(token, "pod-on-"); ok {
				return node, nil
			}
			return "", Refuse(http.StatusForbidden, "not you")
		},
		Node: func(_ context.Context, name string) (Node, error) {
			if name == "unknown" {
				return Node{}, errors.New("the cluster does not answer")
			}
			return Node{Name: name, UID: types.UID(name), Address: netip.MustParseAddr("192.0.2.16")}, nil
		},
		Token: func(_ context.Context, node Node) (string, string, error) {
			if node.Name == "revoked" {
				return "", "", apierrors.NewUnauthorized("revoked")
			}
			return "node.paris.192.0.2.16", "token-of-" + node.Name, nil
		},
		Credential: func() *credential.Credential { return has },
	}
	ask := func(method, path, token string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	code, body := ask(http.MethodPost, nodeexchange.Path, "pod-on-one")
	var answer nodeexchange.Answer
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || answer.Address != "192.0.2.16" {
		t.Fatalf("%d %s, %v", code, body, err)
	}
	got, err := credential.Parse(answer.Kubeconfig, "/")
	if err != nil || got.Config.BearerToken != "token-of-one" || got.Config.Host != "https://192.0.2.1" || got.Namespace != "epic-acme" {
		t.Errorf("The node got %+v, %v", got, err)
	}
	if strings.Contains(string(answer.Kubeconfig), "secret-of-the-connector") {
		t.Error("The node got the connector's own token")
	}
	for _, test := range []struct {
		method, path, token string
		code                int
		want                string
	}{
		{http.MethodGet, nodeexchange.Path, "pod-on-two", http.StatusMethodNotAllowed, "POST"},
		{http.MethodPost, "/metrics", "pod-on-two", http.StatusNotFound, nodeexchange.Path},
		{http.MethodPost, nodeexchange.Path, "", http.StatusForbidden, "not you"},
		{http.MethodPost, nodeexchange.Path, "somebody", http.StatusForbidden, "not you"},
		{http.MethodPost, nodeexchange.Path, "pod-on-unknown", http.StatusServiceUnavailable, "does not answer"},
		{http.MethodPost, nodeexchange.Path, "pod-on-revoked", http.StatusServiceUnavailable, "epicctl connect"},
	} {
		if code, body := ask(test.method, test.path, test.token); code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s %s of %q: %d %s, want %d %s", test.method, test.path, test.token, code, body, test.code, test.want)
		}
	}
	// One node that asks all the time costs EPIC little, and others nothing.
	refused := 0
	for range 20 {
		if code, _ := ask(http.MethodPost, nodeexchange.Path, "pod-on-greedy"); code == http.StatusTooManyRequests {
			refused++
		}
	}
	if code, _ := ask(http.MethodPost, nodeexchange.Path, "pod-on-three"); refused < 20-nodeBurst-1 || code != http.StatusOK {
		t.Errorf("%d of 20 requests were refused, and another node got %d", refused, code)
	}
	has = nil
	if code, body := ask(http.MethodPost, nodeexchange.Path, "pod-on-four"); code != http.StatusServiceUnavailable || !strings.Contains(body, credential.ErrNone.Error()) {
		t.Errorf("Without a credential: %d %s", code, body)
	}
}

// All senders together cost the cluster's API server no more than so much.
func TestServerBoundsEverybody(t *testing.T) {
	reviews := 0
	s := &Server{Authenticate: func(context.Context, string) (string, error) {
		reviews++
		return "", Refuse(http.StatusUnauthorized, "no")
	}}
	for i := range 10 * burst {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, nodeexchange.Path, http.NoBody)
		r.Header.Set("Authorization", fmt.Sprintf("Bearer %d", i))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	if reviews < burst || reviews > 5*burst {
		t.Errorf("%d of %d requests were looked at", reviews, 10*burst)
	}
}
