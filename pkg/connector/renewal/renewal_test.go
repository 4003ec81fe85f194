// SPDX-License-Identifier: Apache-2.0

package renewal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/credential"
)

const account = "system:serviceaccount:epic-acme:connector.paris"

func token(user string, issued, expires time.Time) string {
	payload, _ := json.Marshal(map[string]any{"sub": user, "iat": issued.Unix(), "exp": expires.Unix()})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".x"
}

func parse(t *testing.T, token string) *credential.Credential {
	t.Helper()
	c, err := credential.Parse(fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": %q}}],
"contexts": [{"name": "c", "context": {"cluster": "s", "user": "u", "namespace": "epic-acme"}}], "clusters": [{"name": "s", "cluster": {"server": "https://192.0.2.1"}}]}`, token), "/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDue(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		token string
		want  time.Duration
	}{
		"the manifest's":         {token(account, now, now.Add(7*24*time.Hour)), 24 * time.Hour},
		"renewed":                {token(account, now, now.Add(Lifetime)), 24 * time.Hour},
		"a server's short limit": {token(account, now, now.Add(3*time.Hour)), time.Hour},
		"a person's":             {token("jane", now, now.Add(time.Hour)), 0},
		"opaque":                 {"secret", 0},
		"ends before it begins":  {token(account, now, now.Add(-time.Hour)), 0},
	} {
		due, ok := Due(parse(t, test.token))
		if ok != (test.want > 0) || ok && due.Sub(now) != test.want {
			t.Errorf("%s is due after %s, %v; want %s", name, due.Sub(now), ok, test.want)
		}
	}
	if _, ok := Due(nil); ok {
		t.Error("No credential is due")
	}
}

// The connector's credential outlives its first token by itself, and an EPIC that is away
// for weeks.
func TestRenewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := fake.NewClientset()
		away, asked := false, 0
		kube.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
			asked++
			create, ok := action.(clienttesting.CreateActionImpl)
			if away || !ok || action.GetSubresource() != "token" || action.GetNamespace() != "epic-acme" || create.Name != "connector.paris" {
				return true, nil, fmt.Errorf("no answer to %v", action)
			}
			request, _ := create.GetObject().(*authenticationv1.TokenRequest)
			request.Status.Token = token(account, time.Now(), time.Now().Add(time.Duration(*request.Spec.ExpirationSeconds)*time.Second))
			return true, request, nil
		})
		transport := credential.NewTransport()
		if err := transport.Set(parse(t, token(account, time.Now(), time.Now().Add(7*24*time.Hour)))); err != nil {
			t.Fatal(err)
		}
		var stored []byte
		full := false
		r := &Renewer{Transport: transport, Client: kube, Store: func(_ context.Context, kubeconfig []byte) error {
			if full {
				return errors.New("the Secret can't be written")
			}
			stored = kubeconfig
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Start(ctx) }()
		left := func() time.Duration { return time.Until(transport.Credential().Expires) }
		day := 24 * time.Hour
		time.Sleep(60 * day)
		synctest.Wait()
		if left() < Lifetime-2*day {
			t.Errorf("After two months the token is valid for %s", left())
		}
		if again, err := credential.Parse(stored, "/"); err != nil || !again.Expires.Equal(transport.Credential().Expires) || again.Namespace != "epic-acme" {
			t.Errorf("It stored %s, %v", stored, err)
		}
		if asked > 62 {
			t.Errorf("It asked %d times in 60 days", asked)
		}
		away = true
		time.Sleep(27 * day)
		synctest.Wait()
		if left() < day {
			t.Errorf("EPIC is away for four weeks: %s are left", left())
		}
		away = false
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if left() < Lifetime-time.Hour {
			t.Errorf("EPIC is back: %s are left", left())
		}
		// A token that nobody stored is not used: it would be lost with this process.
		full = true
		before := transport.Credential()
		time.Sleep(3 * day)
		synctest.Wait()
		if transport.Credential() != before {
			t.Error("It uses a token that it could not store")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// requested is the request for a token of an action.
func requested(action clienttesting.Action) *authenticationv1.TokenRequest {
	if create, ok := action.(clienttesting.CreateActionImpl); ok {
		if request, ok := create.GetObject().(*authenticationv1.TokenRequest); ok {
			return request
		}
	}
	return &authenticationv1.TokenRequest{}
}

// A clock that jumps neither lets a credential expire nor has EPIC asked all the time.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"ahead": 400 * 24 * time.Hour, "behind": -400 * 24 * time.Hour, "a little behind": -3 * time.Minute, "hours behind": -30 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kube := fake.NewClientset()
				asked := 0
				kube.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
					asked++
					request := requested(action)
					// EPIC's clock is right.
					request.Status.Token = token(account, time.Now(), time.Now().Add(Lifetime))
					return true, request, nil
				})
				transport := credential.NewTransport()
				if err := transport.Set(parse(t, token(account, time.Now(), time.Now().Add(Lifetime)))); err != nil {
					t.Fatal(err)
				}
				var offset atomic.Int64
				r := &Renewer{
					Transport: transport, Client: kube, Store: func(context.Context, []byte) error { return nil },
					now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- r.Start(ctx) }()
				time.Sleep(time.Hour)
				offset.Store(int64(jump))
				const days = 10
				for range days {
					time.Sleep(24 * time.Hour)
					synctest.Wait()
					if left := time.Until(transport.Credential().Expires); left < Lifetime-26*time.Hour {
						t.Fatalf("The token is valid for %s", left)
					}
				}
				if asked > days*25 {
					t.Errorf("It asked %d times in %d days", asked, days)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What kept a credential from being renewed is known until it is renewed, or another one is
// there.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := fake.NewClientset()
		away := true
		kube.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
			request := requested(action)
			if away {
				return true, nil, errors.New("no answer")
			}
			request.Status.Token = token(account, time.Now(), time.Now().Add(Lifetime))
			return true, request, nil
		})
		transport := credential.NewTransport()
		r := &Renewer{Transport: transport, Client: kube, Store: func(context.Context, []byte) error { return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Start(ctx) }()
		failing := func(want bool) {
			t.Helper()
			time.Sleep(retryAtMost)
			synctest.Wait()
			if err := r.Failure(); (err != nil) != want {
				t.Errorf("The failure is %v", err)
			}
		}
		set := func(issued, expires time.Duration) {
			t.Helper()
			if err := transport.Set(parse(t, token(account, time.Now().Add(issued), time.Now().Add(expires)))); err != nil {
				t.Fatal(err)
			}
		}
		failing(false)
		set(-25*time.Hour, time.Hour)
		failing(true)
		set(0, Lifetime)
		failing(false)
		set(-25*time.Hour, time.Hour)
		failing(true)
		away = false
		failing(false)
		if left := time.Until(transport.Credential().Expires); left < Lifetime-time.Hour {
			t.Errorf("The token is valid for %s", left)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
