// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// Rules combines the rules of a kind and the limits of the account to which its objects
// belong.
type Rules struct {
	claims.Rules
	// Resource is the resource of the kind.
	Resource string
	// Tracker knows what accounts store. If it is nil, there are no limits.
	Tracker *Tracker
}

var _ claims.Rules = Rules{}

// Unwrap returns the rules of the kind, which may implement more than claims.Rules.
func (r Rules) Unwrap() claims.Rules { return r.Rules }

// Plan implements claims.Rules.
func (r Rules) Plan(ctx context.Context, p *claims.Plan, old, obj runtime.Object) error {
	if err := r.Rules.Plan(ctx, p, old, obj); err != nil {
		return err
	}
	if r.Tracker == nil {
		return nil
	}
	if info, ok := genericapirequest.RequestInfoFrom(ctx); ok && info.Subresource == "status" {
		// The system's own programs write it and must be able to.
		return nil
	}
	return r.check(old, obj)
}

// maxObject is the maximum size of an object in bytes. It leaves room for a status and
// for claims in what etcd accepts in one transaction, 1.5 MiB.
const maxObject = 1 << 20

// check returns an error if a write takes the object or its account beyond a limit. A
// write that does not enlarge an object is always allowed.
func (r Rules) check(old, obj runtime.Object) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	if m.GetDeletionTimestamp() != nil {
		return nil
	}
	size, err := r.Tracker.size(obj)
	if err != nil {
		return err
	}
	added := size
	if old != nil {
		before, err := r.Tracker.size(old)
		if err != nil {
			return err
		}
		added -= before
	}
	if added > 0 && size > maxObject {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("%s %s would have %d bytes in the database, but an object may have at most %d: make it smaller, or use several objects", r.Resource, m.GetName(), size, maxObject))
	}
	if !isAccount(m.GetNamespace()) || r.Resource == epic.ResourceAccounts {
		return nil
	}
	return r.checkAccount(m, old == nil, added)
}

// checkAccount returns an error if a write takes an account beyond a limit.
func (r Rules) checkAccount(m metav1.Object, isNew bool, added int64) error {
	u := r.Tracker.use(m.GetNamespace())
	account := strings.TrimPrefix(m.GetNamespace(), epic.AccountNamespacePrefix)
	refuse := func(format string, args ...any) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: epic.GroupName, Resource: r.Resource}, m.GetName(), fmt.Errorf(format, args...))
	}
	if isNew && u.objectLimit >= 0 && u.objects >= u.objectLimit {
		return refuse("account object limit exceeded: account %s has %d objects of this API, and its limit is %d: delete some, or ask the platform team for a higher spec.objectLimit of the Account", account, u.objects, u.objectLimit)
	}
	if added > 0 && u.byteLimit >= 0 && u.bytes+added > u.byteLimit {
		return refuse("account storage limit exceeded: the objects of account %s may take %d bytes and take %d, and this write adds %d: delete some or make them smaller, or ask the platform team for a higher spec.storageLimitBytes of the Account", account, u.byteLimit, u.bytes, added)
	}
	return nil
}
