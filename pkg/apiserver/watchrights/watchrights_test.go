// SPDX-License-Identifier: Apache-2.0

package watchrights

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// request is one that was authenticated.
func request(ctx context.Context, verb string) *http.Request {
	ctx = genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.paris.192.0.2.16"})
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Verb: verb, APIGroup: "epic.acnodal.io", APIVersion: "v1", Resource: "gwproxies", Namespace: "epic-acme",
	})
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
}

// A watch ends when its user loses the right to it, and not when the authorizer fails.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, decision atomic.Int64
		var fails atomic.Bool
		decision.Store(int64(authorizer.DecisionAllow))
		rights := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			asked.Add(1)
			if a.GetVerb() != "watch" || a.GetResource() != "gwproxies" || a.GetNamespace() != "epic-acme" || a.GetUser().GetName() == "" {
				t.Errorf("It asks for %+v", a)
			}
			if fails.Load() {
				return authorizer.DecisionNoOpinion, "", errors.New("no answer")
			}
			return authorizer.Decision(decision.Load()), "", nil
		})
		ended := make(chan struct{})
		handler := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			close(ended)
		}), rights, time.Minute)
		go handler.ServeHTTP(httptest.NewRecorder(), request(t.Context(), "watch"))
		goesOn := func(what string, d time.Duration) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			select {
			case <-ended:
				t.Fatalf("The watch ended: %s", what)
			default:
			}
		}
		goesOn("it is allowed", time.Hour)
		if n := asked.Load(); n < 55 || n > 85 {
			t.Errorf("It asked %d times in an hour", n)
		}
		fails.Store(true)
		decision.Store(int64(authorizer.DecisionNoOpinion))
		goesOn("the authorizer fails", 10*time.Minute)
		fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("The watch goes on without a right")
		}
	})
}

// Nothing else is checked twice, and no timer is left of a watch that ended by itself.
func TestOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rights := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			t.Error("It asks again")
			return authorizer.DecisionDeny, "", nil
		})
		served := 0
		handler := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			served++
			time.Sleep(10 * time.Second)
			if r.Context().Err() != nil {
				t.Error("The request was ended")
			}
		}), rights, time.Minute)
		for _, verb := range []string{"get", "list", "create", "watch"} {
			handler.ServeHTTP(httptest.NewRecorder(), request(t.Context(), verb))
		}
		time.Sleep(time.Hour)
		if served != 4 {
			t.Errorf("It served %d requests", served)
		}
	})
}
