// SPDX-License-Identifier: Apache-2.0

package operator

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/report"
)

const (
	// ReasonRunnerFailed is that what should run can't be made now. The message has the
	// error.
	ReasonRunnerFailed = "RunnerFailed"

	maxFailure = 1000
)

// Events are what people learn of an object besides its conditions. The zero value
// tells nobody: an EPIC API server that runs alone keeps no events.
type Events struct {
	Recorder record.EventRecorder
}

// programmed tells of a change of the condition Programmed that a person would want to
// know.
func (e Events) programmed(obj metav1.Object, kind string, before, now *metav1.Condition) {
	if e.Recorder == nil || now == nil || before != nil && before.Status == now.Status && before.Reason == now.Reason {
		return
	}
	typ := corev1.EventTypeNormal
	switch {
	case now.Status == metav1.ConditionTrue:
	case now.Reason == report.ReasonPending:
		return // it says nothing yet
	default:
		typ = corev1.EventTypeWarning
	}
	e.Recorder.Event(&corev1.ObjectReference{
		APIVersion: epicv1.SchemeGroupVersion.String(), Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
	}, typ, now.Reason, now.Message)
}
