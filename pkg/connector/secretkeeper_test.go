// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestSecretKeeper(t *testing.T) {
	r := &recorder{}
	k := newSecretKeeper(r, "paris", newFakeEPIC(t))
	apply := func(user string, secrets ...*corev1.Secret) func() error {
		return func() error { return k.apply(t.Context(), user, secrets) }
	}
	release := func(user string, needed ...*corev1.Secret) func() error {
		return func() error { return k.release(t.Context(), user, needed) }
	}
	for _, step := range []struct {
		name string
		do   func() error
		err  error
		want []string
	}{
		{"the first user", apply("a", secret("x", "1"), secret("y", "1")), nil, []string{"apply x=1", "apply y=1"}},
		{"again", apply("a", secret("x", "1"), secret("y", "1")), nil, nil},
		{"another user", apply("b", secret("x", "1")), nil, nil},
		{"a renewed certificate", apply("b", secret("x", "2")), nil, []string{"apply x=2"}},
		{"one needs less", release("a", secret("x", "2")), nil, []string{"delete y"}},
		{"one goes", release("a"), nil, nil},
		{"a stranger goes", release("c"), nil, nil},
		{"EPIC is away", release("b"), errors.New("away"), []string{"delete x"}},
		{"the last one goes", release("b"), nil, []string{"delete x"}},
		{"it comes back", apply("a", secret("x", "2")), nil, []string{"apply x=2"}},
		{"it can't be written", apply("a", secret("z", "1")), errors.New("away"), []string{"apply z=1"}},
		{"it is tried again", apply("a", secret("z", "1")), nil, []string{"apply z=1"}},
		{"all are written again", func() error { return k.rewrite(t.Context()) }, nil, []string{"apply x=2", "apply z=1"}},
		{"one that can't be is no reason to leave out the others", func() error { return k.rewrite(t.Context()) }, errors.New("away"), []string{"apply x=2", "apply z=1"}},
	} {
		r.did, r.err = nil, step.err
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
		if !slices.Equal(r.did, step.want) {
			t.Errorf("%s: did %v, not %v", step.name, r.did, step.want)
		}
	}
}

// proxyWith is a proxy of whatever cluster that refers to Secrets.
func proxyWith(t *testing.T, e *fakeEPIC, secrets ...gatewayv1.ObjectName) *epicv1.GWProxy {
	t.Helper()
	proxy := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: account, Name: "shared"}}
	if err := e.Create(t.Context(), proxy); err != nil {
		t.Fatal(err)
	}
	referTo(t, e, proxy, secrets...)
	return proxy
}

func referTo(t *testing.T, e *fakeEPIC, proxy *epicv1.GWProxy, secrets ...gatewayv1.ObjectName) {
	t.Helper()
	tls := &gatewayv1.ListenerTLSConfig{}
	for _, name := range secrets {
		tls.CertificateRefs = append(tls.CertificateRefs, gatewayv1.SecretObjectReference{Name: name})
	}
	proxy.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Name: "https", TLS: tls}}}}
	if err := e.Update(t.Context(), proxy); err != nil {
		t.Fatal(err)
	}
}

// A Secret that nobody here needs stays while a proxy refers to it, and one look longer.
func TestLentSecrets(t *testing.T) {
	e, r := newFakeEPIC(t), &recorder{}
	k := newSecretKeeper(r, "paris", e)
	proxy := proxyWith(t, e, "paris.x", "paris.y")
	for _, step := range []struct {
		name string
		do   func() error
		err  error
		want []string
	}{
		{"written", func() error {
			return k.apply(t.Context(), "a", []*corev1.Secret{secret("paris.x", "1"), secret("paris.y", "1")})
		}, nil, []string{"apply paris.x=1", "apply paris.y=1"}},
		{"released, and the proxy has them", func() error { return k.release(t.Context(), "a", nil) }, nil, nil},
		{"nothing changes", func() error { return errors.Join(k.settle(t.Context()), k.settle(t.Context())) }, nil, nil},
		{"lent ones are written again, too", func() error { return k.rewrite(t.Context()) }, nil, []string{"apply paris.x=1", "apply paris.y=1"}},
		{"the proxy changes", func() error { referTo(t, e, proxy, "rome.x", "paris.y"); return k.settle(t.Context()) }, nil, nil},
		{"EPIC is away", func() error { return k.settle(t.Context()) }, errAway, []string{"delete paris.x"}},
		{"the look after it", func() error { return k.settle(t.Context()) }, nil, []string{"delete paris.x"}},
		{"needed again", func() error { return k.apply(t.Context(), "b", []*corev1.Secret{secret("paris.y", "1")}) }, nil, nil},
		{"the proxy does not matter then", func() error {
			referTo(t, e, proxy, "rome.x")
			return errors.Join(k.settle(t.Context()), k.settle(t.Context()))
		}, nil, nil},
		{"the last one goes", func() error { return k.release(t.Context(), "b", nil) }, nil, []string{"delete paris.y"}},
	} {
		r.did, r.err = nil, step.err
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
		if !slices.Equal(r.did, step.want) {
			t.Errorf("%s: did %v, not %v", step.name, r.did, step.want)
		}
	}
}

// A connector that restarts leaves what an earlier run lent, and removes it later. Secrets of
// other clusters are not its business.
func TestLentSecretsOfAnEarlierRun(t *testing.T) {
	e, r := newFakeEPIC(t), &recorder{}
	k := newSecretKeeper(r, "paris", e)
	proxy := proxyWith(t, e, "paris.x", "paris.y", "paris.z", "paris.2.x", "rome.x")
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"one is needed", func() error { return k.apply(t.Context(), "a", []*corev1.Secret{secret("paris.z", "1")}) }, []string{"apply paris.z=1"}},
		{"start", func() error { return k.sweep(t.Context()) }, []string{"sweep, keep [paris.x paris.y]"}},
		{"nothing changes", func() error { return errors.Join(k.settle(t.Context()), k.settle(t.Context())) }, nil},
		{"the proxy changes", func() error { referTo(t, e, proxy, "paris.y"); return k.settle(t.Context()) }, nil},
		{"the look after it", func() error { return k.settle(t.Context()) }, []string{"sweep, keep [paris.y]"}},
		{"nothing changes again", func() error { return errors.Join(k.settle(t.Context()), k.settle(t.Context())) }, nil},
		{"the proxy goes", func() error { return errors.Join(e.Delete(t.Context(), proxy), k.settle(t.Context())) }, nil},
		{"the look after that", func() error { return k.settle(t.Context()) }, []string{"sweep, keep []"}},
		{"all is settled", func() error { return k.settle(t.Context()) }, nil},
	} {
		r.did = nil
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if !slices.Equal(r.did, step.want) {
			t.Errorf("%s: did %v, not %v", step.name, r.did, step.want)
		}
	}
}
