// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// pods are the node's pods by name.
type pods map[string]*corev1.Pod

func (p pods) HasSynced() bool { return p != nil }

func (p pods) Get(_, name string) (*corev1.Pod, error) {
	if pod := p[name]; pod != nil {
		return pod, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

func labeled(uid types.UID, labels ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: "p", UID: uid, Labels: map[string]string{}}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		p.Labels[key] = value
	}
	return p
}

func TestResolve(t *testing.T) {
	const (
		part  = "app.kubernetes.io/part-of=epic"
		envoy = "app.kubernetes.io/component=envoy-deployment"
		ofLB  = "epic.acnodal.io/owning-loadbalancer=lb"
		ofGWP = "epic.acnodal.io/owning-proxy=gwp"
	)
	lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"epic.acnodal.io/owning-serviceprefix": "sp"}}}
	lb.Spec.PublicAddress = "203.0.113.5"
	gwp := &epicv1.GWProxy{ObjectMeta: lb.ObjectMeta}
	gwp.Spec.PublicAddress, gwp.Spec.AltAddress = "2001:db8::5", "203.0.113.6"
	gwpPod := labeled("u", part, envoy, ofGWP)
	longName := strings.Repeat("shop.", 20) + "example.com"
	longNamed := labeled("u", part, envoy, "epic.acnodal.io/owning-proxy="+epic.LabelValue(longName))
	longNamed.Annotations = map[string]string{"epic.acnodal.io/owning-proxy": longName}
	misnamed := labeled("u", part, envoy, ofGWP)
	misnamed.Annotations = map[string]string{"epic.acnodal.io/owning-proxy": "other"}
	missing := errors.New("not there")
	for _, tt := range []struct {
		name  string
		pod   *corev1.Pod
		uid   types.UID
		spoil func(*Objects)
		want  *Proxy
		err   string
		again bool
	}{
		{name: "no labels", pod: labeled("u")},
		{name: "part of EPIC, no proxy", pod: labeled("u", part, ofLB)},
		{name: "another's proxy", pod: labeled("u", envoy, ofLB)},
		{name: "load balancer", pod: labeled("u", part, envoy, ofLB), uid: "u", want: &Proxy{Kind: proxies.LoadBalancer, Owner: "lb", Bridge: "multus0", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.5")}}},
		{name: "gateway", pod: gwpPod, want: &Proxy{Kind: proxies.GWProxy, Owner: "gwp", Bridge: "multus0", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("203.0.113.6")}}},
		{name: "gateway with a long name", pod: longNamed, want: &Proxy{Kind: proxies.GWProxy, Owner: longName, Bridge: "multus0", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("203.0.113.6")}}},
		{name: "an annotation with another's name", pod: misnamed, want: &Proxy{Kind: proxies.GWProxy, Owner: "gwp", Bridge: "multus0", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("203.0.113.6")}}},
		{name: "both", pod: labeled("u", part, envoy, ofLB, ofGWP), err: "both labels"},
		{name: "neither", pod: labeled("u", part, envoy), err: "neither"},
		{name: "pod not known", err: "not known", again: true},
		{name: "an older pod of that name", pod: gwpPod, uid: "other", err: "not known", again: true},
		{name: "no object", pod: gwpPod, err: "was not found", again: true, spoil: func(o *Objects) {
			o.GWProxy = func(context.Context, string, string) (*epicv1.GWProxy, error) { return nil, missing }
		}},
		{name: "no address yet", pod: gwpPod, err: "no public address yet", again: true, spoil: func(o *Objects) {
			o.GWProxy = func(context.Context, string, string) (*epicv1.GWProxy, error) { return &epicv1.GWProxy{}, nil }
		}},
		{name: "no prefix", pod: gwpPod, err: "ServicePrefix", again: true, spoil: func(o *Objects) {
			o.Prefix = func(context.Context, string) (*epicv1.ServicePrefix, error) { return nil, missing }
		}},
		{name: "nothing to keep", pod: gwpPod, err: "cluster's network", again: true, spoil: func(o *Objects) {
			o.Keep = func(context.Context) ([]netip.Prefix, error) { return nil, missing }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Objects{
				Pods:         pods{"p": tt.pod},
				LoadBalancer: func(context.Context, string, string) (*epicv1.LoadBalancer, error) { return lb, nil },
				GWProxy:      func(context.Context, string, string) (*epicv1.GWProxy, error) { return gwp, nil },
				Prefix:       func(context.Context, string) (*epicv1.ServicePrefix, error) { return &epicv1.ServicePrefix{}, nil },
				Keep:         func(context.Context) ([]netip.Prefix, error) { return nil, nil },
				Wait:         time.Millisecond,
			}
			if tt.spoil != nil {
				tt.spoil(o)
			}
			got, err := o.Resolve(t.Context(), "epic-a", "p", tt.uid)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || wire.Retryable(err) != tt.again {
					t.Errorf("got %v, retryable %v; want %q, %v", err, wire.Retryable(err), tt.err, tt.again)
				}
				return
			}
			if err != nil || (got == nil) != (tt.want == nil) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if got != nil && (got.Kind != tt.want.Kind || got.Owner != tt.want.Owner || got.Bridge != tt.want.Bridge || got.Namespace != "epic-a" || got.PodUID != "u" || !slices.Equal(got.Addresses, tt.want.Addresses)) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestGone(t *testing.T) {
	o := &Objects{Pods: pods(nil)}
	if o.Gone("epic-a", "p", "u") {
		t.Error("before the pods are known, one is gone")
	}
	o.Pods = pods{"p": labeled("u")}
	if o.Gone("epic-a", "p", "u") || !o.Gone("epic-a", "p", "older") || !o.Gone("epic-a", "other", "u") {
		t.Error("what is gone is wrong")
	}
}

func TestPrefixes(t *testing.T) {
	got, err := Prefixes("service-cidr", "10.96.0.0/16, fd00::/112,")
	if err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Prefixes("service-cidr", "10.96.0.0"); err == nil || !strings.Contains(err.Error(), "service-cidr") {
		t.Errorf("got %v", err)
	}
}
