// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/shorten"
)

// maxMessage is the maximum number of bytes of an event's message. A message may contain
// text of tenants and of Envoys. What this package and the correlator add to it still
// fits into the 1024 bytes of Kubernetes.
const maxMessage = 900

// Event is a change of an object's state.
type Event struct {
	// Warning indicates that somebody may have to act.
	Warning bool
	// Reason is one of the reasons listed in docs/reference.md.
	Reason  string
	Message string
}

// Unchanged reports whether a condition is unchanged for the purpose of events: only its
// message may differ. A new condition has changed.
func Unchanged(was, is *metav1.Condition) bool {
	return was != nil && was.Status == is.Status && was.Reason == is.Reason
}

// Recorder records events. It never waits for the API server. A nil Recorder records
// nothing.
type Recorder struct {
	limiter *limiter
	record  record.EventRecorder
}

// New returns a recorder that works until ctx ends. Its events name the program as their
// source.
func New(ctx context.Context, events typedcorev1.EventsGetter, program string) *Recorder {
	return newRecorder(ctx, &sink{ctx: ctx, events: events.Events(metav1.NamespaceAll), now: time.Now}, program, time.Now)
}

func newRecorder(ctx context.Context, to record.EventSink, program string, now func() time.Time) *Recorder {
	// The correlator counts equal events in one object, and combines those that only
	// differ in their message. Its own limit would drop others without counting them.
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{
		LRUCacheSize: mostObjects, BurstSize: programLimit.burst, QPS: float32(time.Second) / float32(programLimit.every),
	}))
	broadcaster.StartRecordingToSink(to)
	return &Recorder{limiter: newLimiter(now), record: broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: program})}
}

// Record records an event of one of EPIC's objects, in the namespace of that object,
// unless a limit is reached.
func (r *Recorder) Record(kind string, obj metav1.Object, e Event) {
	if r == nil {
		return
	}
	by, dropped := r.limiter.take(objectKey{kind, types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}})
	if by != "" {
		suppressed.WithLabelValues(by).Inc()
		return
	}
	recorded.Inc()
	typ := corev1.EventTypeNormal
	if e.Warning {
		typ = corev1.EventTypeWarning
	}
	message := shorten.To(maxMessage, e.Message)
	if dropped > 0 {
		message += fmt.Sprintf(" (events of this object dropped since the last one: %d)", dropped)
	}
	r.record.Event(&corev1.ObjectReference{
		APIVersion: epicv1.SchemeGroupVersion.String(), Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
	}, typ, e.Reason, message)
}
