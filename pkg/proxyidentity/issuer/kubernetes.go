// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// Audience is the audience of the tokens that are projected into proxies' pods.
	Audience = "epic-xds"

	maxToken = 16 << 10
)

// kinds maps resources to kinds of objects with proxies.
var kinds = map[string]string{epic.ResourceLoadBalancers: proxyidentity.LoadBalancer, epic.ResourceGWProxies: proxyidentity.GWProxy}

// Pods finds pods, like the lister of an informer. The pods may lack everything except
// metadata, their phase and their addresses.
type Pods interface {
	// Pod returns a pod, or an error for which apierrors.IsNotFound is true.
	Pod(namespace, name string) (*corev1.Pod, error)
}

// Kubernetes authenticates pods by their projected token.
type Kubernetes struct {
	Reviews authenticationv1client.TokenReviewInterface
	Pods    Pods
	// IgnoreAddress disables the comparison of the source address of a call with the
	// pod's, for a network that translates addresses within the cluster.
	IgnoreAddress bool

	now func() time.Time
}

// Authenticate implements Authenticator.
func (k *Kubernetes) Authenticate(ctx context.Context, e Evidence) (proxyidentity.Identity, error) {
	name, uid, err := k.review(ctx, e)
	if err != nil {
		return proxyidentity.Identity{}, err
	}
	pod, err := k.Pods.Pod(e.Namespace, name)
	if apierrors.IsNotFound(err) {
		return proxyidentity.Identity{}, fmt.Errorf("pod %s/%s is not known yet, or was deleted", e.Namespace, name)
	}
	if err != nil {
		return proxyidentity.Identity{}, err
	}
	if string(pod.UID) != uid {
		return proxyidentity.Identity{}, refuse(OtherPod, "the token belongs to an earlier pod %s/%s", e.Namespace, name)
	}
	object, ok := placement.ObjectOf(pod)
	if !ok {
		return proxyidentity.Identity{}, refuse(NotAProxy, "pod %s/%s is not a proxy: its labels name no object", e.Namespace, name)
	}
	if err := placement.CheckPod(pod, object); err != nil {
		return proxyidentity.Identity{}, refuse(NotAProxy, "%s", err)
	}
	if err := k.checkAddress(pod, e.Remote); err != nil {
		return proxyidentity.Identity{}, err
	}
	return proxyidentity.Identity{
		Proxy: proxyidentity.Proxy{Namespace: object.Namespace, Kind: kinds[object.Resource], Name: object.Name}, Pod: name,
	}, nil
}

// review returns the name and UID of the pod to which the token is bound.
func (k *Kubernetes) review(ctx context.Context, e Evidence) (name, uid string, err error) {
	if err := k.precheck(e.Token); err != nil {
		return "", "", err
	}
	review, err := k.Reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: e.Token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", "", fmt.Errorf("can't review the token: %w", err)
	}
	status := review.Status
	if !status.Authenticated {
		return "", "", refuse(InvalidToken, "Kubernetes does not accept the token: %s", status.Error)
	}
	// An API server that does not know audiences returns none.
	if !slices.Contains(status.Audiences, Audience) {
		return "", "", refuse(WrongAudience, "the token is not for audience %s", Audience)
	}
	namespace, _, err := serviceaccount.SplitUsername(status.User.Username)
	if err != nil {
		return "", "", refuse(NotOfPod, "the token belongs to user %.253s, not to a service account", status.User.Username)
	}
	name, uid = one(status.User.Extra[serviceaccount.PodNameKey]), one(status.User.Extra[serviceaccount.PodUIDKey])
	if name == "" || uid == "" {
		return "", "", refuse(NotOfPod, "the token is not bound to a pod: use a projected volume")
	}
	if namespace != e.Namespace || name != e.Pod {
		return "", "", refuse(OtherPod, "the token belongs to pod %s/%s, not to %.253s/%.253s", namespace, name, e.Namespace, e.Pod)
	}
	return name, uid, nil
}

// precheck rejects tokens that can't be valid, to save a review and return a clear error.
// It verifies nothing: the review does.
func (k *Kubernetes) precheck(token string) error {
	if token == "" {
		return refuse(NoToken, "the request has no token")
	}
	if len(token) > maxToken {
		return refuse(InvalidToken, "the token has more than %d bytes", maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return refuse(InvalidToken, "the token is not a JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Audience audiences `json:"aud"`
		Expires  float64   `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return refuse(InvalidToken, "the token can't be decoded")
	}
	now := time.Now
	if k.now != nil {
		now = k.now
	}
	if claims.Expires != 0 && float64(now().Unix()) >= claims.Expires {
		return refuse(ExpiredToken, "the token expired on %s", time.Unix(int64(claims.Expires), 0).UTC().Format(time.RFC3339))
	}
	if !slices.Contains(claims.Audience, Audience) {
		return refuse(WrongAudience, "the token is for audience %.253q, not %s", []string(claims.Audience), Audience)
	}
	return nil
}

// checkAddress rejects a token that is not used from its pod.
func (k *Kubernetes) checkAddress(pod *corev1.Pod, remote netip.Addr) error {
	if k.IgnoreAddress || !remote.IsValid() {
		return nil
	}
	var has []string
	for _, ip := range append([]corev1.PodIP{{IP: pod.Status.PodIP}}, pod.Status.PodIPs...) {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Unmap() == remote.Unmap() {
			return nil
		}
		if ip.IP != "" {
			has = append(has, ip.IP)
		}
	}
	if len(has) == 0 {
		return errors.New("the address of the pod is not known yet")
	}
	return refuse(OtherAddress, "the call comes from %s, not from pod %s/%s, whose address is %s", remote, pod.Namespace, pod.Name, strings.Join(slices.Compact(has), " and "))
}

// audiences is a claim that is a string or a list.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func one(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
