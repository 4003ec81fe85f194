// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// The description has the latest events of the account's objects, the latest last.
func TestDescribeEvents(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Events: <none>")
	event := func(name, kind, version, reason string, ago time.Duration, count int32) {
		t.Helper()
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "epic-acme", Name: name},
			InvolvedObject: corev1.ObjectReference{APIVersion: version, Kind: kind, Namespace: "epic-acme", Name: "shop"},
			Type:           corev1.EventTypeWarning, Reason: reason, Message: "see\nthe node", Count: count,
			LastTimestamp: metav1.NewTime(time.Now().Add(-ago)),
		}
		if _, err := kube.CoreV1().Events("epic-acme").Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	const own = "epic.acnodal.io/v1"
	event("a", "LoadBalancer", own, "SomeTunnelsDown", 5*time.Minute, 3)
	event("b", "Account", own, "QuotaExhausted", 4*time.Minute, 1)
	event("c", "GWRoute", own, "Programmed", 20*time.Minute, 0)
	event("d", "Pod", "v1", "BackOff", time.Minute, 1)
	r := i.run(t, "describe", "account", "acme")
	r.want(t, ExitOK, "TYPE KIND NAME REASON SINCE MESSAGE", "Warning LoadBalancer shop SomeTunnelsDown 5m (3 times) see the node",
		"Warning Account shop QuotaExhausted 4m", "Warning GWRoute shop Programmed 20m")
	r.lacks(t, "BackOff", "earlier")
	inOrder := func(reasons ...string) {
		t.Helper()
		at := -1
		for _, reason := range reasons {
			next := strings.Index(r.stdout, reason)
			if next < at {
				t.Errorf("%s is too early in\n%s", reason, r.stdout)
			}
			at = next
		}
	}
	inOrder("Programmed", "SomeTunnelsDown", "QuotaExhausted")
	if fields := listedEvents(kube.Actions()); fields != "involvedObject.apiVersion=epic.acnodal.io/v1" {
		t.Errorf("It lists the events with %q", fields)
	}

	for n := range 2 * shownEvents {
		event(fmt.Sprint("many", n), "GWProxy", own, fmt.Sprintf("Reason%02d", n), 3*time.Minute-time.Duration(n)*time.Second, 1)
	}
	r = i.run(t, "describe", "account", "acme")
	r.want(t, ExitOK, fmt.Sprintf("and %d earlier", shownEvents+3), "Reason20", "Reason39")
	r.lacks(t, "Reason19", "QuotaExhausted")
	inOrder("earlier", "Reason20", "Reason39")

	kube.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New(`User "jane" cannot list resource "events"`))
	})
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Events: unknown: you may not list events in namespace epic-acme")
	i.kube = nil
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Events: this server is standalone and keeps none")
}

// listedEvents is the field selector of the last list of events.
func listedEvents(actions []clienttesting.Action) (fields string) {
	for _, a := range actions {
		if l, ok := a.(clienttesting.ListAction); ok && a.GetResource().Resource == "events" {
			fields = l.GetListRestrictions().Fields.String()
		}
	}
	return fields
}
