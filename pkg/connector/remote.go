// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// fieldOwner owns the fields that the connector writes in EPIC.
const fieldOwner = client.FieldOwner("epic-connector")

// hashAnnotation on an object in EPIC is a digest of the connector's last write, so the
// connector only needs to read the object to determine whether it has to write it again.
const hashAnnotation = epic.LabelPrefix + "connector-hash"

// remote writes to EPIC.
type remote struct {
	client client.Client
	// reader reads EPIC from caches.
	reader client.Reader
	// direct reads EPIC without the caches, which have no managed fields.
	direct client.Reader
	// cluster is the value of the label owning-cluster of this cluster's objects, uid
	// distinguishes it from another cluster of the same name.
	cluster, uid string
	// written holds the versions that the connector wrote last, by kind and name.
	written sync.Map
	// former holds the labels of clusters whose objects now belong to this cluster.
	former map[string]bool
}

func newRemote(c client.Client, cached, direct client.Reader, options Options) *remote {
	r := &remote{client: c, reader: cached, direct: direct, cluster: epic.LabelValue(options.Cluster), uid: options.ClusterUID, former: map[string]bool{}}
	for _, cluster := range options.FormerClusters {
		r.former[epic.LabelValue(cluster)] = true
	}
	return r
}

// content returns an object as it is sent.
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

// form returns an object as it is sent, with its digest.
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

// mustEncode encodes decoded data with sorted keys.
func mustEncode(o map[string]any) []byte {
	data, err := json.Marshal(o)
	if err != nil {
		return []byte(err.Error())
	}
	return data
}

// within reports whether has contains every value in want. Additional values set by the
// server are ignored. Lists must have the same length.
func within(want, has any) bool {
	switch want := want.(type) {
	case map[string]any:
		h, ok := has.(map[string]any)
		if !ok {
			// An empty object may be omitted.
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

// mine reports whether an object in EPIC belongs to this cluster.
func (r *remote) mine(o client.Object) bool {
	label := o.GetLabels()[epic.OwningClusterLabel]
	if e, ok := o.(*epicv1.RemoteEndpoint); ok && label == "" {
		// PureLB does not label its endpoints.
		label = epic.LabelValue(e.Spec.Cluster)
		return label != r.cluster && r.former[label]
	}
	return r.former[label] || label == r.cluster && !r.namesake(o)
}

// namesake reports whether an object comes from another cluster with the same name.
func (r *remote) namesake(o client.Object) bool {
	uid := o.GetAnnotations()[publish.ClusterUIDKey]
	return o.GetLabels()[epic.OwningClusterLabel] == r.cluster && uid != "" && r.uid != "" && uid != r.uid
}

// inherited reports whether an object was published by another program for the same local
// object. PureGW gives objects the same names, without a cluster label; the UID of a
// shared one is its sharing key.
func inherited(want, now client.Object) bool {
	uid := clientRef(now).UID
	return now.GetLabels()[epic.OwningClusterLabel] == "" && uid != "" && (uid == clientRef(want).UID || uid == want.GetName())
}

// foreignError indicates that an object with the name belongs to another owner.
type foreignError struct{ kind, name, cluster string }

func (e *foreignError) Error() string {
	if e.cluster == "" {
		return fmt.Sprintf("%s %s in EPIC was not created by a connector: delete it there, or choose another name", e.kind, e.name)
	}
	return fmt.Sprintf("%s %s in EPIC belongs to the cluster %q: if that is a previous name of this cluster, start the connector with --former-clusters=%s; "+
		"if that cluster is a copy of this one, publish from only one of them", e.kind, e.name, e.cluster, e.cluster)
}

// takeOver makes the connector the only owner of the fields that it applies, so applying
// also removes items that others added to lists.
func (r *remote) takeOver(ctx context.Context, want *unstructured.Unstructured, now client.Object) error {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(want.GroupVersionKind())
	if err := r.direct.Get(ctx, client.ObjectKeyFromObject(now), live); err != nil {
		return fmt.Errorf("read %s %s: %w", want.GetKind(), want.GetName(), err)
	}
	spec, _, err := unstructured.NestedMap(want.Object, "spec")
	if err != nil {
		return fmt.Errorf("take over %s %s: %w", want.GetKind(), want.GetName(), err)
	}
	entries, changed, err := moveFields(live.GetManagedFields(), spec)
	if err != nil || !changed {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": entries, "resourceVersion": live.GetResourceVersion()}})
	if err != nil {
		return fmt.Errorf("take over %s %s: %w", want.GetKind(), want.GetName(), err)
	}
	if err := r.client.Patch(ctx, live, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("take over %s %s: %w", want.GetKind(), want.GetName(), err)
	}
	klog.FromContext(ctx).Info("Took over fields in EPIC that others set", "kind", want.GetKind(), "name", want.GetName())
	return nil
}

// apply updates or creates an object in EPIC; now is the object in the cache, nil if
// there is none. It reports whether it wrote.
func (r *remote) apply(ctx context.Context, want, now client.Object) (bool, error) {
	u, err := form(want)
	if err != nil {
		return false, err
	}
	if now == nil {
		// The caller knows no object for its local object. Check whether one exists under
		// this name.
		if other, ok := reflect.New(reflect.TypeOf(want).Elem()).Interface().(client.Object); ok &&
			r.reader.Get(ctx, client.ObjectKeyFromObject(want), other) == nil {
			now = other
		}
	}
	if now != nil {
		others := inherited(want, now)
		if !others && !r.mine(now) {
			return false, &foreignError{u.GetKind(), u.GetName(), now.GetLabels()[epic.OwningClusterLabel]}
		}
		if now.GetDeletionTimestamp() != nil {
			// It is written again after its deletion.
			return false, nil
		}
		if now.GetAnnotations()[hashAnnotation] == u.GetAnnotations()[hashAnnotation] {
			has, err := content(now)
			if err != nil {
				return false, err
			}
			// Objects from caches lack these.
			has.SetAPIVersion(u.GetAPIVersion())
			has.SetKind(u.GetKind())
			if within(u.Object, has.Object) {
				return false, nil
			}
			// Somebody else changed it.
			others = true
		}
		if others {
			if err := r.takeOver(ctx, u, now); err != nil {
				return false, err
			}
		}
	}
	if err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), fieldOwner, client.ForceOwnership); err != nil {
		return false, fmt.Errorf("write %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	writes.WithLabelValues(u.GetKind(), "apply").Inc()
	// The response contains the version.
	r.written.Store(u.GetKind()+"/"+u.GetName(), u.GetResourceVersion())
	klog.FromContext(ctx).V(2).Info("Wrote to EPIC", "kind", u.GetKind(), "name", u.GetName())
	return true, nil
}

// wrote reports whether the connector wrote this version of an object.
func (r *remote) wrote(o client.Object) bool {
	version, ok := r.written.Load(kindOf(o) + "/" + o.GetName())
	return ok && version == o.GetResourceVersion()
}

// forget removes the recorded version of an object that no longer exists.
func (r *remote) forget(o client.Object) { r.written.Delete(kindOf(o) + "/" + o.GetName()) }

// remove deletes an object of this cluster in EPIC, if it still has the version in the
// cache. It returns true when the object is gone.
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

// replace creates and updates objects in EPIC, and then removes those that are no longer
// wanted. In this order, requests always have one.
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
