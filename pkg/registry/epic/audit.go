// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"context"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// Auditor compares all objects with all claims.
type Auditor interface {
	Audit(ctx context.Context) (*claims.Report, error)
}

// AuditREST serves the subresource "audit" of the EPIC object: each get runs one audit.
// It is a subresource so that it can be reached through a kube-apiserver and authorized
// separately.
type AuditREST struct {
	auditor Auditor
}

var (
	_ rest.Storage = &AuditREST{}
	_ rest.Getter  = &AuditREST{}
)

// NewAuditREST returns the subresource's storage.
func NewAuditREST(a Auditor) *AuditREST { return &AuditREST{auditor: a} }

// New implements rest.Storage.
func (*AuditREST) New() runtime.Object { return &epic.ClaimAudit{} }

// Destroy implements rest.Storage.
func (*AuditREST) Destroy() {}

// Get implements rest.Getter.
func (r *AuditREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if ns := genericapirequest.NamespaceValue(ctx); ns != epic.ConfigNamespace || name != epic.ConfigName {
		return nil, apierrors.NewNotFound(epic.Resource(epic.ResourceEPICs), name)
	}
	report, err := r.auditor.Audit(ctx)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return toAPI(report), nil
}

func toAPI(r *claims.Report) *epic.ClaimAudit {
	out := &epic.ClaimAudit{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName, ResourceVersion: strconv.FormatInt(r.Revision, 10)},
		Revision:   r.Revision,
		Objects:    int32(r.Objects),
		Claims:     int32(r.Claims),
		Clean:      len(r.Problems) == 0,
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, epic.ClaimProblem{
			Type:      epic.ClaimProblemType(strings.ToLower(string(p.Type))),
			Claim:     p.Claim,
			Resource:  p.Owner.Resource,
			Namespace: p.Owner.Namespace,
			Name:      p.Owner.Name,
			Message:   p.Message,
		})
	}
	return out
}
