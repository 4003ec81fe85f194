// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// fieldOwner owns what the connector writes in EPIC.
const fieldOwner = client.FieldOwner("epic-connector")

// hashAnnotation on an object in EPIC is a digest of what the connector wrote last, so
// that it knows without reading more than the object whether it has to write again.
const hashAnnotation = epic.LabelPrefix + "connector-hash"

// remote writes to EPIC.
type remote struct {
	client client.Client
	// reader reads EPIC from caches.
	reader client.Reader
	// cluster is the value of the label owning-cluster of this cluster's objects.
	cluster string
}

// content is an object as it is sent.
func content(o client.Object) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", o, err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &u.Object); err != nil {
		return nil, fmt.Errorf("decode %T: %w", o, err)
	}
	delete(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u, nil
}

// form is an object as it is sent, with its digest.
func form(o client.Object) (*unstructured.Unstructured, error) {
	u, err := content(o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(mustEncode(u.Object))
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[hashAnnotation] = hex.EncodeToString(sum[:16])
	u.SetAnnotations(annotations)
	return u, nil
}

// mustEncode encodes what came out of a decoder; keys are in order.
func mustEncode(o map[string]any) []byte {
	data, err := json.Marshal(o)
	if err != nil {
		return []byte(err.Error())
	}
	return data
}

// within says whether everything that want says, has says, too. What the server adds of
// its own does not matter. Lists have the same length.
func within(want, has any) bool {
	switch want := want.(type) {
	case map[string]any:
		h, ok := has.(map[string]any)
		if !ok {
			// An empty object may be left out.
			return has == nil && len(want) == 0
		}
		for key, value := range want {
			if !within(value, h[key]) {
				return false
			}
		}
		return true
	case []any:
		h, ok := has.([]any)
		if !ok || len(h) != len(want) {
			return has == nil && len(want) == 0
		}
		for i := range want {
			if !within(want[i], h[i]) {
				return false
			}
		}
		return true
	case nil:
		return true
	default:
		return equality.Semantic.DeepEqual(want, has)
	}
}

// mine says whether an object in EPIC is this cluster's.
func (r *remote) mine(o client.Object) bool {
	return o.GetLabels()[epic.OwningClusterLabel] == r.cluster
}

// foreignError says that an object of a name is somebody else's.
type foreignError struct{ kind, name, cluster string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("%s %s in EPIC belongs to the cluster %q: if two clusters have the same ID, give the connector of one another --cluster", e.kind, e.name, e.cluster)
}

// apply makes an object in EPIC what it should be; now is what the cache has of it, nil if
// nothing. It says whether it wrote.
func (r *remote) apply(ctx context.Context, want, now client.Object) (bool, error) {
	u, err := form(want)
	if err != nil {
		return false, err
	}
	if now == nil {
		// The caller knows of none that stands for its object. Is there another one?
		if other, ok := reflect.New(reflect.TypeOf(want).Elem()).Interface().(client.Object); ok &&
			r.reader.Get(ctx, client.ObjectKeyFromObject(want), other) == nil {
			now = other
		}
	}
	if now != nil {
		if !r.mine(now) {
			return false, &foreignError{u.GetKind(), u.GetName(), now.GetLabels()[epic.OwningClusterLabel]}
		}
		if now.GetDeletionTimestamp() != nil {
			// It is written again when it is gone.
			return false, nil
		}
		if now.GetAnnotations()[hashAnnotation] == u.GetAnnotations()[hashAnnotation] {
			has, err := content(now)
			if err != nil {
				return false, err
			}
			// Objects of caches have none.
			has.SetAPIVersion(u.GetAPIVersion())
			has.SetKind(u.GetKind())
			if within(u.Object, has.Object) {
				return false, nil
			}
		}
	}
	if err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), fieldOwner, client.ForceOwnership); err != nil {
		return false, fmt.Errorf("write %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	writes.WithLabelValues(u.GetKind(), "apply").Inc()
	klog.FromContext(ctx).V(2).Info("Wrote to EPIC", "kind", u.GetKind(), "name", u.GetName())
	return true, nil
}

// remove deletes an object in EPIC that is this cluster's, of the version that the cache
// has. It says whether nothing is left of it.
func (r *remote) remove(ctx context.Context, now client.Object) (bool, error) {
	if now == nil || !r.mine(now) {
		return true, nil
	}
	if now.GetDeletionTimestamp() == nil {
		uid := now.GetUID()
		err := r.client.Delete(ctx, now, client.Preconditions{UID: &uid})
		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("delete %T %s: %w", now, now.GetName(), err)
		}
		writes.WithLabelValues(kindOf(now), "delete").Inc()
	}
	return false, nil
}

// replace makes objects in EPIC what they should be, and removes those that are there and
// no longer wanted. They go last, so that requests always have one.
func replace[T client.Object](ctx context.Context, r *remote, want, now []T) error {
	has := make(map[string]client.Object, len(now))
	for _, o := range now {
		has[o.GetName()] = o
	}
	for _, o := range want {
		if _, err := r.apply(ctx, o, has[o.GetName()]); err != nil {
			return err
		}
		delete(has, o.GetName())
	}
	for _, o := range has {
		if _, err := r.remove(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
