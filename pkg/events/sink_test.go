// SPDX-License-Identifier: Apache-2.0

package events

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

func testEvent(name string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "epic-one", Name: name},
		InvolvedObject: corev1.ObjectReference{Kind: "LoadBalancer", Namespace: "epic-one", Name: "shop"},
		Type:           corev1.EventTypeWarning, Reason: "AllTunnelsDown", Message: "No endpoint can be reached",
	}
}

// logged returns the lines that were logged so far and contain a text.
func logged(t *testing.T, logger klog.Logger, text string) (n int) {
	t.Helper()
	underlier, ok := logger.GetSink().(ktesting.Underlier)
	if !ok {
		t.Fatalf("the logger is a %T", logger.GetSink())
	}
	for line := range strings.Lines(underlier.GetBuffer().String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func bufferedLogger(t *testing.T) klog.Logger {
	t.Helper()
	return ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig(ktesting.BufferLogs(true)))
}

// What the API server answers decides where events go, and whether it is asked again.
func TestSink(t *testing.T) {
	events := schema.GroupResource{Resource: "events"}
	terminating := apierrors.NewForbidden(events, "e", nil)
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, test := range map[string]struct {
		answer error
		fails  bool
		// requests and lines are how many there are after three events.
		requests, lines int
	}{
		"written":                     {nil, false, 3, 0},
		"no such API":                 {apierrors.NewGenericServerResponse(http.StatusNotFound, "post", events, "", "404 page not found", 0, true), false, 1, 3},
		"no such API, no details":     {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound}}, false, 1, 3},
		"forbidden":                   {apierrors.NewForbidden(events, "e", nil), false, 1, 3},
		"no such namespace":           {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "epic-one"), false, 3, 3},
		"the namespace is terminated": {terminating, true, 3, 0},
		"the server is broken":        {apierrors.NewInternalError(http.ErrAbortHandler), true, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
				return test.answer != nil, &corev1.Event{}, test.answer
			})
			logger := bufferedLogger(t)
			now := time.Unix(1, 0)
			s := &sink{ctx: klog.NewContext(t.Context(), logger), events: client.CoreV1().Events(""), now: func() time.Time { return now }}
			for _, e := range []string{"a", "b", "c"} {
				if _, err := s.Create(testEvent(e)); (err != nil) != test.fails {
					t.Errorf("creating %s: %v", e, err)
				}
			}
			if n := len(client.Actions()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			if n := logged(t, logger, `"AllTunnelsDown"`); n != test.lines {
				t.Errorf("%d events in the log, want %d", n, test.lines)
			}
			if test.requests == 3 {
				return
			}
			if n := logged(t, logger, "does not accept events"); n != 1 {
				t.Errorf("%d lines on the API server, want 1", n)
			}
			// The correlator counts equal events by patches, and creates one that is not found.
			if _, err := s.Patch(testEvent("a"), []byte(`{}`)); !apierrors.IsNotFound(err) {
				t.Errorf("the patch: %v", err)
			}
			now = now.Add(askAgain)
			if _, err := s.Create(testEvent("d")); err != nil || len(client.Actions()) != 2 {
				t.Errorf("after a while: %v, %d requests", err, len(client.Actions()))
			}
		})
	}
}

// A server in standalone mode serves no events.
func TestStandalone(t *testing.T) {
	server := testserver.StartTestServer(t)
	client, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	logger := bufferedLogger(t)
	s := &sink{ctx: klog.NewContext(t.Context(), logger), events: client.CoreV1().Events(""), now: time.Now}
	for _, e := range []string{"a", "b"} {
		if _, err := s.Create(testEvent(e)); err != nil {
			t.Errorf("creating %s: %v", e, err)
		}
	}
	if n := logged(t, logger, `"AllTunnelsDown"`); n != 2 {
		t.Errorf("%d events in the log, want 2", n)
	}
	if n := logged(t, logger, "does not accept events"); n != 1 {
		t.Errorf("%d lines on the API server, want 1", n)
	}
}
