// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// askAgain is how long the sink logs events before it retries an API server that did not
// accept one.
const askAgain = 10 * time.Minute

// sink writes events to the API server. If the server does not serve events, or does not
// permit the program to write them, they are logged. Its methods are called sequentially.
type sink struct {
	ctx    context.Context
	events typedcorev1.EventInterface
	now    func() time.Time
	// logUntil is when the sink retries the API server.
	logUntil time.Time
}

var _ record.EventSink = &sink{}

// Create implements record.EventSink.
func (s *sink) Create(e *corev1.Event) (*corev1.Event, error) {
	if s.logs() {
		return s.log(e), nil
	}
	created, err := s.events.CreateWithEventNamespaceWithContext(s.ctx, e)
	switch {
	case err == nil, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		// The caller ignores that error: the namespace and its events are being deleted.
		return created, err
	case withoutNamespace(err):
		return s.log(e), nil
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		s.logUntil = s.now().Add(askAgain)
		klog.FromContext(s.ctx).Info("The API server does not accept events: logging them instead", "askAgain", askAgain, "reason", err.Error())
		return s.log(e), nil
	}
	return created, err
}

// Update implements record.EventSink.
func (s *sink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.events.UpdateWithEventNamespaceWithContext(s.ctx, e)
}

// Patch implements record.EventSink. The caller creates an event that is not found.
func (s *sink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	if s.logs() {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, e.Name)
	}
	return s.events.PatchWithEventNamespaceWithContext(s.ctx, e, data)
}

func (s *sink) logs() bool { return s.now().Before(s.logUntil) }

func (s *sink) log(e *corev1.Event) *corev1.Event {
	o := &e.InvolvedObject
	klog.FromContext(s.ctx).Info("Event", "kind", o.Kind, "object", klog.KRef(o.Namespace, o.Name), "type", e.Type, "reason", e.Reason, "message", e.Message)
	return e
}

// withoutNamespace reports whether an error means that the event's namespace does not
// exist.
func withoutNamespace(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}
