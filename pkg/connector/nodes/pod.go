// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/credential/nodeexchange"
)

// maxToken limits the size of a token.
const maxToken = 16 << 10

// refusalError is a response with the reason why a node gets no credential.
type refusalError struct {
	status int
	text   string
}

// Error implements error.
func (r *refusalError) Error() string { return r.text }

// Refuse returns an error with the HTTP status and the text of the response to a node.
func Refuse(status int, format string, args ...any) error {
	return &refusalError{status, fmt.Sprintf(format, args...)}
}

// Pods authenticates pods of the node program by their projected tokens.
type Pods struct {
	// Client is a client of the client cluster.
	Client kubernetes.Interface
	// Namespace and ServiceAccount identify the service account of the node program.
	Namespace, ServiceAccount string
}

// Node returns the name of the node on which the pod of a token runs.
func (p *Pods) Node(ctx context.Context, token string) (string, error) {
	if err := precheck(token); err != nil {
		return "", err
	}
	review, err := p.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{nodeexchange.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("review the token: %w", err)
	}
	status := &review.Status
	switch {
	case !status.Authenticated:
		return "", Refuse(http.StatusUnauthorized, "this cluster does not accept the token: %s", status.Error)
	case !slices.Contains(status.Audiences, nodeexchange.Audience):
		// An API server that does not know audiences returns none.
		return "", Refuse(http.StatusUnauthorized, "the token is not for the audience %s", nodeexchange.Audience)
	case status.User.Username != serviceaccount.MakeUsername(p.Namespace, p.ServiceAccount):
		return "", Refuse(http.StatusForbidden, "the token belongs to %.253s, but nodes use the service account %s in %s", status.User.Username, p.ServiceAccount, p.Namespace)
	}
	name, uid := one(status.User.Extra[serviceaccount.PodNameKey]), one(status.User.Extra[serviceaccount.PodUIDKey])
	if name == "" || uid == "" {
		return "", Refuse(http.StatusForbidden, "the token is not bound to a pod: use a projected volume")
	}
	pod, err := p.Client.CoreV1().Pods(p.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", Refuse(http.StatusForbidden, "the token's pod %s no longer exists", name)
	case err != nil:
		return "", fmt.Errorf("read the pod of the token: %w", err)
	case string(pod.UID) != uid || pod.Spec.ServiceAccountName != p.ServiceAccount || pod.DeletionTimestamp != nil:
		return "", Refuse(http.StatusForbidden, "the token belongs to an earlier pod %s", name)
	case pod.Spec.NodeName == "":
		return "", Refuse(http.StatusForbidden, "the pod %s is not scheduled to a node yet", name)
	}
	// Newer clusters also include the node in the token.
	if on := one(status.User.Extra[serviceaccount.NodeNameKey]); on != "" && on != pod.Spec.NodeName {
		return "", Refuse(http.StatusForbidden, "the token belongs to a pod on node %.253s, but pod %s runs on %s", on, name, pod.Spec.NodeName)
	}
	return pod.Spec.NodeName, nil
}

// precheck rejects tokens that can't be valid, to save a review. It verifies nothing.
func precheck(token string) error {
	if token == "" {
		return Refuse(http.StatusUnauthorized, "the request has no token: send the pod's token in the header Authorization")
	}
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return Refuse(http.StatusUnauthorized, "the token is not a JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return Refuse(http.StatusUnauthorized, "the token can't be decoded")
	}
	// The audience is a string or a list of strings.
	var all []string
	if json.Unmarshal(claims.Audience, &all) != nil {
		var single string
		_ = json.Unmarshal(claims.Audience, &single)
		all = []string{single}
	}
	if !slices.Contains(all, nodeexchange.Audience) {
		return Refuse(http.StatusUnauthorized, "the token is for the audience %.253q, not %s", all, nodeexchange.Audience)
	}
	return nil
}

func one(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
