// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/events"
)

const (
	// DefaultSettle is how long conditions wait after a change for related changes: an
	// object and those that refer to it seldom arrive at the same time.
	DefaultSettle = time.Second
	// DefaultPoolSettle is how long the conditions of service groups wait after a pool
	// was exhausted or has addresses again. Thousands of groups may share a pool, and its
	// last address may be released and taken repeatedly.
	DefaultPoolSettle = 30 * time.Second
	// conditionWrites is the number of status writes per second for conditions, and
	// conditionBurst the burst. Conditions are for people, and must not delay tunnels.
	conditionWrites = 100
	conditionBurst  = 200
)

// subject is the observed state of an object whose conditions are set. It points into the
// cache and must not be changed.
type subject struct {
	meta       *metav1.ObjectMeta
	observed   int64
	conditions []metav1.Condition
	// found holds the desired conditions, without times and generations.
	found []metav1.Condition
	// extra holds other desired fields of the status that are not set yet.
	extra map[string]any
	// again is the time after which the conditions may change without an event; 0 means
	// never.
	again time.Duration
}

// conditionReconciler sets the conditions of each object of one kind. It writes nothing
// else.
type conditionReconciler struct {
	*reconciler
	limiter flowcontrol.RateLimiter
	events  *events.Recorder
	// find collects the state of an object from the caches.
	find func(key cache.ObjectName) (*subject, error)
	// patch sends a merge patch of an object's status.
	patch func(ctx context.Context, key cache.ObjectName, data []byte) error
}

// newConditionReconciler returns a conditionReconciler without find.
func newConditionReconciler(kind string, p *pace, patch func(context.Context, cache.ObjectName, []byte) error) *conditionReconciler {
	j := &conditionReconciler{reconciler: newReconciler(kind), limiter: p.limiter, events: p.events, patch: patch}
	j.settle, j.reconcile = p.settle, j.object
	return j
}

// pace controls how fast conditions are set, and where their changes are recorded.
type pace struct {
	settle, poolSettle time.Duration
	limiter            flowcontrol.RateLimiter
	events             *events.Recorder
}

// object sets the conditions of one object.
func (j *conditionReconciler) object(ctx context.Context, key cache.ObjectName) (outcome, error) {
	s, err := j.find(key)
	if apierrors.IsNotFound(err) {
		return outcome{result: resultUnchanged}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	out := outcome{result: resultUnchanged, again: s.again}
	data, conditions, err := conditionsPatch(s)
	if err != nil || data == nil {
		return out, err
	}
	if err := j.limiter.Wait(ctx); err != nil {
		return outcome{}, err
	}
	patching, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := j.patch(patching, key, data); err != nil {
		return outcome{}, err
	}
	recordTransitions(j.events, j.name, s.meta, s.conditions, conditions)
	klog.FromContext(ctx).V(2).Info("Wrote the conditions", "conditions", summary(s.found))
	out.result = resultWritten
	return out, nil
}

// conditionsPatch returns a merge patch of a status that sets the found conditions and
// keeps others, or nil if they are already set. A merge patch contains the whole list, so
// it only applies to the version that was observed. conditionsPatch also returns the
// resulting conditions.
func conditionsPatch(s *subject) (data []byte, conditions []metav1.Condition, err error) {
	if s.meta.DeletionTimestamp != nil {
		return nil, nil, nil
	}
	conditions = slices.Clone(s.conditions)
	for _, c := range s.found {
		c.ObservedGeneration = s.meta.Generation
		meta.SetStatusCondition(&conditions, c)
	}
	if s.observed == s.meta.Generation && len(s.extra) == 0 && apiequality.Semantic.DeepEqual(conditions, s.conditions) {
		return nil, nil, nil
	}
	status := map[string]any{"observedGeneration": s.meta.Generation, "conditions": conditions}
	maps.Copy(status, s.extra)
	data, err = json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": s.meta.UID, "resourceVersion": s.meta.ResourceVersion},
		"status":   status,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("encode the conditions: %w", err)
	}
	return data, conditions, nil
}

// summary formats conditions for the log.
func summary(conditions []metav1.Condition) []string {
	words := make([]string, 0, len(conditions))
	for _, c := range conditions {
		words = append(words, fmt.Sprintf("%s=%s (%s)", c.Type, c.Status, c.Reason))
	}
	return words
}

// patcher is the part of a kind's client that writes.
type patcher[T any] interface {
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (T, error)
}

// statusWriter returns a function that writes the status of objects of one kind.
func statusWriter[T any, P patcher[T]](in func(namespace string) P) func(context.Context, cache.ObjectName, []byte) error {
	return func(ctx context.Context, key cache.ObjectName, data []byte) error {
		_, err := in(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		return err
	}
}

// condition returns a condition that is true, or false with a reason and a message.
func condition(name string, is bool, reason, format string, args ...any) metav1.Condition {
	c := metav1.Condition{Type: name, Status: metav1.ConditionFalse, Reason: reason, Message: format}
	if is {
		c.Status = metav1.ConditionTrue
	}
	if len(args) > 0 {
		c.Message = fmt.Sprintf(format, args...)
	}
	c.Message = shorten(c.Message, maxMessage)
	return c
}

// withReady adds the condition Ready, which repeats the first of the others that is not
// true.
func withReady(conditions ...metav1.Condition) []metav1.Condition {
	ready := condition(ConditionReady, true, ReasonReady, "Nothing is missing")
	for _, c := range conditions {
		if c.Status != metav1.ConditionTrue {
			ready = c
			ready.Type = ConditionReady
			break
		}
	}
	return append(conditions, ready)
}

// isReady reports whether the condition Ready, the last one, is true.
func isReady(conditions []metav1.Condition) bool {
	return conditions[len(conditions)-1].Status == metav1.ConditionTrue
}
