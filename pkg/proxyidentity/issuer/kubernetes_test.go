// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// claims is the content of a token. The fake reviewer trusts it.
type claims struct {
	Audience any    `json:"aud,omitempty"`
	Expires  int64  `json:"exp,omitempty"`
	Pod      string `json:"pod,omitempty"`
	UID      string `json:"uid,omitempty"`
	User     string `json:"user,omitempty"`
}

func (c claims) token() string {
	payload, _ := json.Marshal(c)
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".sig"
}

func good() claims {
	return claims{
		Audience: []string{Audience}, Expires: time.Now().Add(time.Hour).Unix(),
		Pod: "web-1", UID: "uid-1", User: "system:serviceaccount:epic-acnodal:proxy",
	}
}

// pods finds pods by their names.
type pods map[string]*corev1.Pod

func (p pods) Pod(namespace, name string) (*corev1.Pod, error) {
	if pod := p[namespace+"/"+name]; pod != nil {
		return pod, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

func proxyPod(name, uid string, labels map[string]string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acnodal", Name: name, UID: types.UID(uid), Labels: map[string]string{
		epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent,
	}}}
	for k, v := range labels {
		pod.Labels[k] = v
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}
	return pod
}

func newKubernetes() *Kubernetes {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		var c claims
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(review.Spec.Token, ".")[1])
		_ = json.Unmarshal(payload, &c)
		switch c.User {
		case "":
			review.Status.Error = "invalid bearer token"
		case "unavailable":
			return true, nil, errors.New("etcd is away")
		default:
			review.Status.Authenticated = true
			if c.User != "no audiences" {
				review.Status.Audiences = review.Spec.Audiences
			}
			review.Status.User = authenticationv1.UserInfo{Username: c.User, Extra: map[string]authenticationv1.ExtraValue{}}
			if c.Pod != "" {
				review.Status.User.Extra["authentication.kubernetes.io/pod-name"] = []string{c.Pod}
				review.Status.User.Extra["authentication.kubernetes.io/pod-uid"] = []string{c.UID}
			}
		}
		return true, review, nil
	})
	ended := proxyPod("ended", "uid-e", map[string]string{epic.OwningProxyLabel: "web"})
	ended.Status.Phase = corev1.PodSucceeded
	young := proxyPod("young", "uid-y", map[string]string{epic.OwningProxyLabel: "web"})
	young.Status.PodIPs = nil
	other := proxyPod("other", "uid-o", nil)
	other.Labels = map[string]string{epic.OwningProxyLabel: "web"}
	all := pods{}
	for _, p := range []*corev1.Pod{
		proxyPod("web-1", "uid-1", map[string]string{epic.OwningProxyLabel: "web"}),
		proxyPod("lb-1", "uid-2", map[string]string{epic.OwningLoadBalancerLabel: "lb"}),
		proxyPod("both", "uid-b", map[string]string{epic.OwningLoadBalancerLabel: "lb", epic.OwningProxyLabel: "web"}),
		proxyPod("none", "uid-n", nil), ended, young, other,
	} {
		all[p.Namespace+"/"+p.Name] = p
	}
	return &Kubernetes{Reviews: client.AuthenticationV1().TokenReviews(), Pods: all}
}

func TestKubernetes(t *testing.T) {
	k := newKubernetes()
	web := proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: "epic-acnodal", Kind: proxyidentity.GWProxy, Name: "web"}, Pod: "web-1"}
	lb := proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: "epic-acnodal", Kind: proxyidentity.LoadBalancer, Name: "lb"}, Pod: "lb-1"}
	for name, test := range map[string]struct {
		claims func(*claims)
		token  string
		pod    string
		from   string
		want   proxyidentity.Identity
		// reason is of a refusal; text is in any error.
		reason Reason
		text   string
	}{
		"a gateway proxy":            {want: web},
		"a load balancer":            {claims: func(c *claims) { c.Pod, c.UID = "lb-1", "uid-2" }, pod: "lb-1", want: lb},
		"one audience as a string":   {claims: func(c *claims) { c.Audience = Audience }, want: web},
		"IPv6":                       {from: "fd00::1", want: web},
		"mapped IPv4":                {from: "::ffff:10.0.0.1", want: web},
		"a unix socket":              {from: "-", want: web},
		"no token":                   {token: "-", reason: NoToken, text: "no token"},
		"garbage":                    {token: "hello", reason: InvalidToken, text: "not a JSON web token"},
		"garbage with dots":          {token: "a.%.c", reason: InvalidToken, text: "can't be decoded"},
		"huge":                       {token: strings.Repeat("a", 20<<10), reason: InvalidToken, text: "more than 16384 bytes"},
		"forged":                     {claims: func(c *claims) { c.User = "" }, reason: InvalidToken, text: "invalid bearer token"},
		"expired":                    {claims: func(c *claims) { c.Expires = 1_000_000_000 }, reason: ExpiredToken, text: "expired on 2001-09-09"},
		"another audience":           {claims: func(c *claims) { c.Audience = []string{"api"} }, reason: WrongAudience, text: "not epic-xds"},
		"no audience":                {claims: func(c *claims) { c.Audience = nil }, reason: WrongAudience, text: "not epic-xds"},
		"server without audiences":   {claims: func(c *claims) { c.User = "no audiences" }, reason: WrongAudience, text: "not for audience"},
		"a person":                   {claims: func(c *claims) { c.User = "alice" }, reason: NotOfPod, text: "user alice"},
		"not bound":                  {claims: func(c *claims) { c.Pod = "" }, reason: NotOfPod, text: "not bound to a pod"},
		"another pod's token":        {pod: "lb-1", reason: OtherPod, text: "pod epic-acnodal/web-1, not to epic-acnodal/lb-1"},
		"another namespace's token":  {claims: func(c *claims) { c.User = "system:serviceaccount:epic-other:proxy" }, reason: OtherPod, text: "pod epic-other/web-1"},
		"an earlier pod's token":     {claims: func(c *claims) { c.UID = "uid-0" }, reason: OtherPod, text: "earlier pod"},
		"another pod's address":      {from: "10.0.0.2", reason: OtherAddress, text: "comes from 10.0.0.2, not from pod epic-acnodal/web-1, whose address is 10.0.0.1 and fd00::1"},
		"labels of no object":        {claims: func(c *claims) { c.Pod, c.UID = "none", "uid-n" }, pod: "none", reason: NotAProxy, text: "not a proxy"},
		"labels of two objects":      {claims: func(c *claims) { c.Pod, c.UID = "both", "uid-b" }, pod: "both", reason: NotAProxy, text: "both"},
		"no proxy's labels":          {claims: func(c *claims) { c.Pod, c.UID = "other", "uid-o" }, pod: "other", reason: NotAProxy, text: "lacks the labels"},
		"ended":                      {claims: func(c *claims) { c.Pod, c.UID = "ended", "uid-e" }, pod: "ended", reason: NotAProxy, text: "has terminated"},
		"not known yet":              {claims: func(c *claims) { c.Pod, c.UID = "new", "uid-x" }, pod: "new", text: "not known yet"},
		"address not known yet":      {claims: func(c *claims) { c.Pod, c.UID = "young", "uid-y" }, pod: "young", text: "not known yet"},
		"API server is not reached.": {claims: func(c *claims) { c.User = "unavailable" }, text: "etcd is away"},
	} {
		c := good()
		if test.claims != nil {
			test.claims(&c)
		}
		e := Evidence{Token: c.token(), Namespace: "epic-acnodal", Pod: "web-1", Remote: netip.MustParseAddr("10.0.0.1")}
		if test.token != "" {
			e.Token = strings.Trim(test.token, "-")
		}
		if test.pod != "" {
			e.Pod = test.pod
		}
		switch test.from {
		case "":
		case "-":
			e.Remote = netip.Addr{}
		default:
			e.Remote = netip.MustParseAddr(test.from)
		}
		got, err := k.Authenticate(t.Context(), e)
		if test.text == "" {
			if err != nil || got != test.want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		reason, refused := ReasonOf(err)
		if err == nil || reason != test.reason || refused != (test.reason != "") || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %q %v", name, reason, err)
		}
		if err != nil && slices.Contains([]string{"hello"}, test.token) && strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
}
