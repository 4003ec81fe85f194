// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/operator/report"
)

const (
	// ReasonRunnerFailed means that what should run can't be created now. The message
	// contains the error.
	ReasonRunnerFailed = "RunnerFailed"

	maxFailure = 1000
)

// Reasons of the events that the operator records, in addition to those of the conditions
// Programmed and Accepted.
const (
	// EventProgrammed means that Envoys run the newest configuration, for the first time
	// or again.
	EventProgrammed = report.ReasonProgrammed
	// EventAccepted means that everything an object requests can be configured again.
	EventAccepted = report.ReasonAccepted
	// EventScaled means that the number of an object's Envoys changed.
	EventScaled = "Scaled"
)

// proxyEvents returns the events for a change of the operator's part of the status of a
// load balancer or gateway proxy.
func proxyEvents(before *epicv1.ProxyStatus, now *own) (all []events.Event) {
	programmed := programmedEvent(before.Conditions, now.Conditions)
	was, is := meta.FindStatusCondition(before.Conditions, report.ConditionAccepted), meta.FindStatusCondition(now.Conditions, report.ConditionAccepted)
	switch {
	case is == nil || events.Unchanged(was, is):
	case is.Status == metav1.ConditionFalse && (programmed == nil || programmed.Reason != is.Reason):
		all = append(all, events.Event{Warning: true, Reason: is.Reason, Message: is.Message})
	case is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse:
		all = append(all, events.Event{Reason: EventAccepted, Message: is.Message})
	}
	if programmed != nil {
		all = append(all, *programmed)
	}
	if before.Envoy != nil && now.Envoy != nil && before.Envoy.Replicas != now.Envoy.Replicas {
		all = append(all, events.Event{Reason: EventScaled, Message: fmt.Sprintf("The number of Envoys changes from %d to %d", before.Envoy.Replicas, now.Envoy.Replicas)})
	}
	return all
}

// programmedEvent returns the event for a change of the condition Programmed, or nil if
// there is none.
func programmedEvent(before, after []metav1.Condition) *events.Event {
	was, is := meta.FindStatusCondition(before, report.ConditionProgrammed), meta.FindStatusCondition(after, report.ConditionProgrammed)
	switch {
	case is == nil || events.Unchanged(was, is):
	case is.Status == metav1.ConditionTrue && is.Reason == report.ReasonProgrammed:
		return &events.Event{Reason: EventProgrammed, Message: is.Message}
	case is.Reason == report.ReasonPending:
		// The controller records this event if the object worked before.
	default:
		// This includes a condition that is true for another reason: some Envoys run, and
		// others can't.
		return &events.Event{Warning: true, Reason: is.Reason, Message: is.Message}
	}
	return nil
}
