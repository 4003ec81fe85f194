// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// shownEvents is the number of latest events that are listed. mostEvents is the number of
// events kept while reading.
const (
	shownEvents = 20
	mostEvents  = 100 * shownEvents
)

// readEvents reads the events of the account's objects, if permitted.
func (inv *inventory) readEvents(ctx context.Context, kube kubernetes.Interface) {
	served, err := serves(kube, "v1", "events")
	if err != nil {
		inv.eventsUnknown = "unknown: " + line(err.Error())
		return
	}
	if !served {
		inv.eventsUnknown = "this server is standalone and keeps none: epic-controller and epic-operator write them to their logs"
		return
	}
	ns := inv.account.Namespace
	// The namespace also contains events of pods.
	own := fields.OneTermEqualSelector("involvedObject.apiVersion", v1.SchemeGroupVersion.String()).String()
	events := listing[*corev1.Event]{
		right: right{"list", "events", ns},
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = own
			return kube.CoreV1().Events(ns).List(ctx, options)
		},
	}
	err = each(ctx, events, func(e *corev1.Event) error {
		if e.InvolvedObject.APIVersion != v1.SchemeGroupVersion.String() {
			return nil
		}
		inv.events = append(inv.events, e)
		if len(inv.events) >= mostEvents {
			inv.forgetEvents()
		}
		return nil
	})
	inv.forgetEvents()
	switch {
	case deniedByRBAC(err):
		inv.events, inv.eventsUnknown = nil, "unknown: you may not "+events.right.String()
	case err != nil:
		inv.events, inv.eventsUnknown = nil, "unknown: "+line(err.Error())
	}
}

// forgetEvents keeps the latest events, sorted by time, and counts the others.
func (inv *inventory) forgetEvents() {
	slices.SortStableFunc(inv.events, func(a, b *corev1.Event) int {
		return cmp.Or(lastTime(a).Compare(lastTime(b)), cmp.Compare(a.InvolvedObject.Name, b.InvolvedObject.Name), cmp.Compare(a.Name, b.Name))
	})
	if n := len(inv.events) - shownEvents; n > 0 {
		inv.moreEvents += n
		inv.events = slices.Clone(inv.events[n:])
	}
}

// lastTime returns when an event last happened.
func lastTime(e *corev1.Event) time.Time {
	last := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(last) {
			last = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}

// eventRows returns rows for the latest events, like kubectl describe shows those of one
// object.
func (inv *inventory) eventRows() (rows [][]string) {
	if inv.moreEvents > 0 {
		rows = append(rows, []string{"", "", fmt.Sprintf("and %d earlier", inv.moreEvents), "", "", ""})
	}
	for _, e := range inv.events {
		since := age(metav1.NewTime(lastTime(e)))
		count := e.Count
		if e.Series != nil {
			count = e.Series.Count
		}
		if count > 1 {
			since = fmt.Sprintf("%s (%d times)", since, count)
		}
		rows = append(rows, []string{e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, since, e.Message})
	}
	return rows
}
