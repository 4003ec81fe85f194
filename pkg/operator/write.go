// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/report"
)

// fieldManager owns the fields that the operator writes, so the API server removes those
// that the operator no longer sets and keeps those of others.
const fieldManager = "epic-operator"

// patcher is the part of a kind's client that writes.
type patcher[T any] interface {
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (T, error)
}

// own is the part of a status that the operator owns.
type own struct {
	Conditions []metav1.Condition  `json:"conditions"`
	Envoy      *epicv1.EnvoyStatus `json:"envoy,omitempty"`
	Placements map[string]string   `json:"proxy-placements,omitempty"`
	// Listeners are set for gateway proxies, and Parents for routes.
	Listeners []epicv1.GatewayListenerStatus `json:"listeners,omitempty"`
	Parents   []epicv1.RouteParentStatus     `json:"parents,omitempty"`
}

// conditions returns the operator's conditions with the transition times of existing
// ones.
func conditions(has, want []metav1.Condition) []metav1.Condition {
	all := slices.Clone(has)
	out := make([]metav1.Condition, 0, len(want))
	for _, c := range want {
		meta.SetStatusCondition(&all, c)
		out = append(out, *meta.FindStatusCondition(all, c.Type))
	}
	return out
}

// same reports whether the conditions are already set.
func same(has, want []metav1.Condition) bool {
	for _, c := range want {
		if old := meta.FindStatusCondition(has, c.Type); old == nil || !apiequality.Semantic.DeepEqual(*old, c) {
			return false
		}
	}
	return true
}

// extra reports whether a condition of the operator is set that should not be.
func extra(has, want []metav1.Condition) bool {
	return slices.ContainsFunc(report.Optional, func(name string) bool {
		return meta.FindStatusCondition(has, name) != nil && meta.FindStatusCondition(want, name) == nil
	})
}

// proxyDiffers reports whether a status differs from the wanted part of the operator.
func proxyDiffers(status *epicv1.ProxyStatus, want *own) bool {
	return !same(status.Conditions, want.Conditions) || extra(status.Conditions, want.Conditions) || !apiequality.Semantic.DeepEqual(status.Envoy, want.Envoy) ||
		want.Placements != nil && !maps.Equal(status.ProxyPlacements, want.Placements) ||
		!apiequality.Semantic.DeepEqual(status.Listeners, want.Listeners)
}

// listeners returns the status of listeners with the transition times of existing
// conditions.
func listeners(has, want []epicv1.GatewayListenerStatus) []epicv1.GatewayListenerStatus {
	return timed(has, want, func(l *epicv1.GatewayListenerStatus) (string, *[]metav1.Condition) { return l.Name, &l.Conditions })
}

// parents is listeners for the parents of a route.
func parents(has, want []epicv1.RouteParentStatus) []epicv1.RouteParentStatus {
	return timed(has, want, func(p *epicv1.RouteParentStatus) (epicv1.RouteParentReference, *[]metav1.Condition) {
		return p.ParentRef, &p.Conditions
	})
}

// timed returns want with the transition times of existing conditions, entry by entry.
// parts returns what identifies an entry, and its conditions.
func timed[T any, K comparable](has, want []T, parts func(*T) (K, *[]metav1.Condition)) []T {
	for i := range want {
		key, wanted := parts(&want[i])
		var old []metav1.Condition
		for j := range has {
			if k, there := parts(&has[j]); k == key {
				old = *there
				break
			}
		}
		*wanted = conditions(old, *wanted)
	}
	return want
}

// apply writes the operator's part of an object's status.
func apply[T any](ctx context.Context, client patcher[T], kind string, obj metav1.Object, want *own) error {
	data, err := json.Marshal(map[string]any{
		"apiVersion": epicv1.SchemeGroupVersion.String(), "kind": kind,
		// The UID prevents a write to a later object of the same name.
		"metadata": map[string]any{"name": obj.GetName(), "namespace": obj.GetNamespace(), "uid": obj.GetUID()},
		"status":   want,
	})
	if err != nil {
		return fmt.Errorf("encode the status of %s: %w", kind, err)
	}
	_, err = client.Patch(ctx, obj.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: fieldManager, Force: ptr.To(true)}, "status")
	return err
}
