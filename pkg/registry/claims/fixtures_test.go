// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/component-base/metrics/testutil"

	"github.com/acnodal/epic/pkg/addresspool"
)

const (
	// want asks for a number of IDs, have lists those that were assigned.
	wantAnnotation = "want"
	haveAnnotation = "have"
	// address asks for an address, or is the one assigned.
	addressAnnotation = "address"
	// parent names an object in the same namespace.
	parentAnnotation = "parent"
)

// idRules assign as many tunnel IDs as a pod wants, dropping the oldest when it
// has too many, an address of a pool, and a parent.
type idRules struct {
	space  Space
	pool   addresspool.Pool
	parent string // resource
	// planned counts the plans.
	planned atomic.Int64
}

var _ Rules = &idRules{}

func ids(pod *example.Pod) []int32 {
	var out []int32
	for f := range strings.FieldsSeq(pod.Annotations[haveAnnotation]) {
		n, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			panic(err)
		}
		out = append(out, int32(n))
	}
	return out
}

func setIDs(pod *example.Pod, ids []int32) {
	var b strings.Builder
	for _, id := range ids {
		_, _ = fmt.Fprint(&b, id, " ")
	}
	pod.Annotations[haveAnnotation] = b.String()
}

func (r *idRules) parentRef(pod *example.Pod) (Ref, bool) {
	name := pod.Annotations[parentAnnotation]
	return Ref{Resource: r.parent, Namespace: pod.Namespace, Name: name}, name != ""
}

func (r *idRules) Claims(obj runtime.Object) *Set {
	pod := obj.(*example.Pod)
	s := &Set{}
	for _, id := range ids(pod) {
		s.AddID(r.space, id)
	}
	if a, err := netip.ParseAddr(pod.Annotations[addressAnnotation]); err == nil {
		s.AddAddress(a)
	}
	if ref, ok := r.parentRef(pod); ok {
		s.AddParent(ref, string(pod.UID))
	}
	return s
}

func (r *idRules) Plan(ctx context.Context, p *Plan, _, obj runtime.Object) error {
	r.planned.Add(1)
	pod := obj.(*example.Pod)
	if ref, ok := r.parentRef(pod); ok {
		objs, err := p.Read(ctx, ref)
		if err != nil {
			return err
		}
		if objs[0] == nil {
			return apierrors.NewBadRequest("the parent is not there")
		}
		p.DependOnExistence(ref)
	}
	if p.Preview() {
		return nil
	}
	if want, err := strconv.Atoi(pod.Annotations[wantAnnotation]); err == nil {
		have := ids(pod)
		have = have[max(0, len(have)-want):]
		more, err := p.AssignIDs(ctx, r.space, want-len(have))
		if errors.Is(err, ErrExhausted) {
			return apierrors.NewBadRequest("no ID is left")
		}
		if err != nil {
			return err
		}
		setIDs(pod, append(have, more...))
	}
	if pod.Annotations[addressAnnotation] == "any" {
		a, err := p.PickAddress(ctx, r.pool, r.pool)
		if errors.Is(err, ErrExhausted) {
			return apierrors.NewBadRequest("no address is left")
		}
		if _, ok := errors.AsType[*CoolingError](err); ok {
			return err
		}
		if err != nil {
			return err
		}
		pod.Annotations[addressAnnotation] = a.String()
	}
	return nil
}

func (r *idRules) PlanDelete(context.Context, *Plan, runtime.Object) error { return nil }

func (r *idRules) Taken(_ runtime.Object, c Claim, _ Owner) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, c.Kind(), nil)
}

func (r *idRules) HasChildren(obj runtime.Object, child Owner) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, obj.(*example.Pod).Name, fmt.Errorf("%s depends on it", child.Resource))
}

func pod(name string, annotations ...string) *example.Pod {
	p := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{}}}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

func key(resource, name string) string { return "/" + resource + "/ns/" + name }

func create(ctx context.Context, s storage.Interface, resource string, p *example.Pod) (*example.Pod, error) {
	out := &example.Pod{}
	return out, s.Create(ctx, key(resource, p.Name), p, out, 0)
}

func mustCreate(t testing.TB, s storage.Interface, resource string, p *example.Pod) *example.Pod {
	t.Helper()
	out, err := create(t.Context(), s, resource, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// annotate sets annotations of a stored pod.
func annotate(ctx context.Context, s storage.Interface, resource, name string, annotations ...string) (*example.Pod, error) {
	out := &example.Pod{}
	err := s.GuaranteedUpdate(ctx, key(resource, name), out, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		p := in.(*example.Pod)
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		for i := 0; i < len(annotations); i += 2 {
			p.Annotations[annotations[i]] = annotations[i+1]
		}
		return p, nil
	}), nil)
	return out, err
}

func mustAnnotate(t testing.TB, s storage.Interface, resource, name string, annotations ...string) *example.Pod {
	t.Helper()
	out, err := annotate(t.Context(), s, resource, name, annotations...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func remove(ctx context.Context, s storage.Interface, resource, name string) error {
	return s.Delete(ctx, key(resource, name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
}

func counter(t testing.TB, read func() (float64, error)) func() float64 {
	t.Helper()
	value := func() float64 {
		v, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := value()
	return func() float64 { return value() - before }
}

func retriesSince(t testing.TB) func() float64 {
	return counter(t, func() (float64, error) { return testutil.GetCounterMetricValue(retries) })
}

func outdatedSince(t testing.TB) func() float64 {
	return counter(t, func() (float64, error) { return testutil.GetCounterMetricValue(outdated) })
}

func foreignSince(t testing.TB) func() float64 {
	return counter(t, func() (float64, error) { return testutil.GetCounterMetricValue(foreignReleases) })
}
