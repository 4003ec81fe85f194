// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/credential/nodeexchange"
)

// tokenOf is a token that is not signed, with a name by which the fake cluster knows it.
func tokenOf(audience any, name string) string {
	payload, _ := json.Marshal(map[string]any{"aud": audience, "name": name})
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{}`)) + "." + part(payload) + "." + part([]byte("x"))
}

// clientCluster has two nodes with a pod of the node program on each, and reviews tokens.
func clientCluster(reviews map[string]authenticationv1.TokenReviewStatus) *fake.Clientset {
	pod := func(name, uid, node, account string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "epic-client", Name: name, UID: types.UID(uid)},
			Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: account},
		}
	}
	kube := fake.NewClientset(pod("a", "uid-a", "one", "epic-node-client"), pod("b", "uid-b", "two", "epic-node-client"),
		pod("pending", "uid-p", "", "epic-node-client"), pod("other", "uid-o", "one", "default"))
	kube.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, _ := action.(clienttesting.CreateAction)
		review, _ := create.GetObject().(*authenticationv1.TokenReview)
		review.Status = reviews[review.Spec.Token]
		return true, review, nil
	})
	return kube
}

func status(user, pod, uid, node string) authenticationv1.TokenReviewStatus {
	extra := map[string]authenticationv1.ExtraValue{}
	for key, value := range map[string]string{serviceaccount.PodNameKey: pod, serviceaccount.PodUIDKey: uid, serviceaccount.NodeNameKey: node} {
		if value != "" {
			extra[key] = authenticationv1.ExtraValue{value}
		}
	}
	return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{nodeexchange.Audience}, User: authenticationv1.UserInfo{Username: user, Extra: extra}}
}

// TestWhoseNode shows which node a token is for, and which tokens are for none.
func TestWhoseNode(t *testing.T) {
	const user = "system:serviceaccount:epic-client:epic-node-client"
	wrong := status(user, "a", "uid-a", "one")
	wrong.Audiences = nil
	for name, test := range map[string]struct {
		token  string
		status authenticationv1.TokenReviewStatus
		want   string // the node, or part of the refusal
	}{
		"a pod":                       {tokenOf([]string{"x", nodeexchange.Audience}, "1"), status(user, "a", "uid-a", "one"), "node one"},
		"another":                     {tokenOf(nodeexchange.Audience, "2"), status(user, "b", "uid-b", ""), "node two"},
		"none":                        {"", authenticationv1.TokenReviewStatus{}, "has no token"},
		"no token":                    {"abc", authenticationv1.TokenReviewStatus{}, "is not a JSON web token"},
		"not decodable":               {"a.*.c", authenticationv1.TokenReviewStatus{}, "can't be decoded"},
		"a long one":                  {tokenOf(nodeexchange.Audience, strings.Repeat("x", maxToken)), authenticationv1.TokenReviewStatus{}, "is not a JSON web token"},
		"for the API server":          {tokenOf("https://kubernetes.default.svc", "3"), status(user, "a", "uid-a", "one"), "not epic-connector"},
		"for nobody":                  {tokenOf(nil, "4"), status(user, "a", "uid-a", "one"), "not epic-connector"},
		"forged":                      {tokenOf(nodeexchange.Audience, "5"), authenticationv1.TokenReviewStatus{Error: "bad signature"}, "bad signature"},
		"a server without audiences":  {tokenOf(nodeexchange.Audience, "6"), wrong, "is not for the audience"},
		"another service account":     {tokenOf(nodeexchange.Audience, "7"), status("system:serviceaccount:epic-client:default", "other", "uid-o", "one"), "nodes use the service account epic-node-client"},
		"another namespace":           {tokenOf(nodeexchange.Audience, "8"), status("system:serviceaccount:shop:epic-node-client", "a", "uid-a", "one"), "nodes use"},
		"bound to no pod":             {tokenOf(nodeexchange.Audience, "9"), status(user, "", "", ""), "is not bound to a pod"},
		"bound to a node only":        {tokenOf(nodeexchange.Audience, "10"), status(user, "", "", "one"), "is not bound to a pod"},
		"a pod that is gone":          {tokenOf(nodeexchange.Audience, "11"), status(user, "gone", "uid-g", "one"), "no longer exists"},
		"an earlier pod":              {tokenOf(nodeexchange.Audience, "12"), status(user, "a", "uid-earlier", "one"), "an earlier pod"},
		"a pod of another account":    {tokenOf(nodeexchange.Audience, "13"), status(user, "other", "uid-o", "one"), "an earlier pod"},
		"a pod on no node":            {tokenOf(nodeexchange.Audience, "14"), status(user, "pending", "uid-p", ""), "is not scheduled to a node"},
		"a pod that is said to be on": {tokenOf(nodeexchange.Audience, "15"), status(user, "a", "uid-a", "two"), "runs on one"},
	} {
		t.Run(name, func(t *testing.T) {
			kube := clientCluster(map[string]authenticationv1.TokenReviewStatus{test.token: test.status})
			pods := &Pods{Client: kube, Namespace: "epic-client", ServiceAccount: "epic-node-client"}
			node, err := pods.Node(t.Context(), test.token)
			var refused *refusalError
			switch got := "node " + node; {
			case err == nil && got != test.want:
				t.Errorf("It is %s, want %s", got, test.want)
			case err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) || node != ""):
				t.Errorf("It is %q, %v; want %s", node, err, test.want)
			}
		})
	}
}
