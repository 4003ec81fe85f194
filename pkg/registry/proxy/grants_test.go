// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// A refusal explains why it is one, and nobody gets past it by being unknown.
func TestRequire(t *testing.T) {
	jane := genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "jane"})
	v := LoadBalancer(&epic.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-one", Name: "lb"}})
	for name, c := range map[string]struct {
		ctx      context.Context
		decision authorizer.Decision
		reason   string
		err      error
		want     string // part of the refusal, or empty if there is none
	}{
		"allowed":             {ctx: jane, decision: authorizer.DecisionAllow},
		"no opinion":          {ctx: jane, decision: authorizer.DecisionNoOpinion, want: "which requires the permission update"},
		"denied for a reason": {ctx: jane, decision: authorizer.DecisionDeny, reason: "no role", want: "(no role)"},
		"nobody can tell":     {ctx: jane, decision: authorizer.DecisionNoOpinion, err: errors.New("connection refused"), want: "could not be checked: connection refused"},
		"nobody asks":         {ctx: t.Context(), decision: authorizer.DecisionAllow, want: "the request has no user"},
	} {
		t.Run(name, func(t *testing.T) {
			g := Grants{Authorizer: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
				return c.decision, c.reason, c.err
			})}
			err := g.require(c.ctx, v, spec.Child("envoy-template"), "it differs", "leave it out")
			if c.want == "" && err != nil || c.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "spec.envoy-template")) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := (Grants{}).require(jane, v, spec, "", ""); err != nil {
		t.Errorf("without an authorizer: %v", err)
	}
}
