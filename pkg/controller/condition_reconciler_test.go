// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
)

// shown is conditions as tests write them: "Type=Status/Reason", with spaces
// between.
func shown(conditions []metav1.Condition) string {
	var words []string
	for _, c := range conditions {
		words = append(words, c.Type+"="+string(c.Status)+"/"+c.Reason)
	}
	return strings.Join(words, " ")
}

// checkTold compares conditions, and checks that the API would take them and that a
// false one tells something.
func checkTold(t *testing.T, got []metav1.Condition, want, message string) {
	t.Helper()
	if s := shown(got); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	all := ""
	for _, c := range got {
		if c.Message == "" || strings.Contains(c.Message, "%!") || len(c.Message) > 32768 {
			t.Errorf("the message of %s is %q", c.Type, c.Message)
		}
		all += c.Message + "\n"
	}
	if !strings.Contains(all, message) {
		t.Errorf("no message says %q:\n%s", message, all)
	}
}

func TestConditionsPatch(t *testing.T) {
	long := metav1.NewTime(time.Unix(1000, 0))
	told := func(name string, status metav1.ConditionStatus, reason string, generation int64) metav1.Condition {
		return metav1.Condition{Type: name, Status: status, Reason: reason, Message: "m", ObservedGeneration: generation, LastTransitionTime: long}
	}
	found := []metav1.Condition{condition("A", true, "Well", "m")}
	for name, c := range map[string]struct {
		subject subject
		// want is what the patch says, "" for no patch; kept is whether the time
		// of the condition stays.
		want string
		kept bool
	}{
		"new":         {subject{found: found}, "A=True/Well", false},
		"there":       {subject{observed: 2, conditions: []metav1.Condition{told("A", "True", "Well", 2)}, found: found}, "", true},
		"a new spec":  {subject{observed: 1, conditions: []metav1.Condition{told("A", "True", "Well", 1)}, found: found}, "A=True/Well", true},
		"its own lag": {subject{observed: 1, conditions: []metav1.Condition{told("A", "True", "Well", 2)}, found: found}, "A=True/Well", true},
		"a reason":    {subject{observed: 2, conditions: []metav1.Condition{told("A", "True", "Other", 2)}, found: found}, "A=True/Well", true},
		"a status":    {subject{observed: 2, conditions: []metav1.Condition{told("A", "False", "Well", 2)}, found: found}, "A=True/Well", false},
		"another's":   {subject{observed: 2, conditions: []metav1.Condition{told("B", "True", "Own", 9)}, found: found}, "B=True/Own A=True/Well", false},
		"being gone":  {subject{meta: &metav1.ObjectMeta{DeletionTimestamp: &long}, found: found}, "", false},
		"nothing yet": {subject{observed: 2}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.subject.meta == nil {
				c.subject.meta = &metav1.ObjectMeta{UID: "u", ResourceVersion: "7", Generation: 2}
			}
			before, err := json.Marshal(c.subject.conditions)
			if err != nil {
				t.Fatal(err)
			}
			data, _, err := conditionsPatch(&c.subject)
			if err != nil {
				t.Fatal(err)
			}
			if after, err := json.Marshal(c.subject.conditions); err != nil || string(after) != string(before) {
				t.Errorf("the cache's object was changed: %s", after)
			}
			if c.want == "" {
				if data != nil {
					t.Errorf("it would be written: %s", data)
				}
				return
			}
			var patch struct {
				Metadata struct{ UID, ResourceVersion string }
				Status   struct {
					ObservedGeneration int64
					Conditions         []metav1.Condition
				}
			}
			if err := json.Unmarshal(data, &patch); err != nil {
				t.Fatal(err)
			}
			if s := shown(patch.Status.Conditions); s != c.want || patch.Status.ObservedGeneration != 2 || patch.Metadata.UID != "u" || patch.Metadata.ResourceVersion != "7" {
				t.Errorf("%s, want %s", data, c.want)
			}
			last := patch.Status.Conditions[len(patch.Status.Conditions)-1]
			if last.LastTransitionTime.Equal(&long) != c.kept || last.LastTransitionTime.IsZero() || last.ObservedGeneration != 2 {
				t.Errorf("the condition is %+v", last)
			}
		})
	}
}

func TestReady(t *testing.T) {
	yes, no, worse := condition("A", true, "Well", "a"), condition("B", false, "Bad", "b"), condition("C", false, "Worse", "c")
	checkTold(t, withReady(yes), "A=True/Well Ready=True/Ready", "Nothing is missing")
	checkTold(t, withReady(yes, no, worse), "A=True/Well B=False/Bad C=False/Worse Ready=False/Bad", "b\nc\nb")
}

// TestConditionsAreTriedAgain checks that a write that fails is tried again, that an unchanged
// object is not written, and that what time decides is looked at again.
func TestConditionsAreTriedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	written := make(chan string, 10)
	failures := []error{apierrors.NewConflict(schema.GroupResource{}, "o", errors.New("old")), apierrors.NewInternalError(errors.New("broken"))}
	j := newConditionReconciler("test-conditions", &pace{settle: time.Millisecond, limiter: flowcontrol.NewFakeAlwaysRateLimiter()}, func(_ context.Context, _ cache.ObjectName, data []byte) error {
		if len(failures) > 0 {
			err := failures[0]
			failures = failures[1:]
			return err
		}
		written <- string(data)
		return nil
	})
	looks := 0
	j.find = func(cache.ObjectName) (*subject, error) {
		looks++
		s := &subject{meta: &metav1.ObjectMeta{}, found: []metav1.Condition{condition("A", looks > 5, "Well", "m")}, again: time.Millisecond}
		if looks == 4 || looks == 5 {
			// As a cache that knows the first write.
			s.conditions = []metav1.Condition{condition("A", false, "Well", "m")}
		}
		return s, nil
	}
	j.add(cache.NewObjectName("ns", "o"))
	done := work(ctx, t, j.reconciler)
	for _, want := range []string{`"False"`, `"True"`} {
		if got := <-written; !strings.Contains(got, want) {
			t.Errorf("%s was written, not %s", got, want)
		}
	}
	cancel()
	<-done
}

// testOthersConditions leaves alone what others say.
func testOthersConditions(w *world) {
	stop := w.start()
	lb := w.loadBalancer(w.account("others"), "web")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	stop()
	_, status := w.get(lb)
	other := metav1.Condition{Type: "Announced", Status: metav1.ConditionTrue, Reason: "Running", LastTransitionTime: metav1.NewTime(time.Unix(1, 0))}
	conditions, err := json.Marshal(append(status.Conditions, other))
	must(w.t)(nil, err)
	must(w.t)(nil, w.patchStatus(lb, fmt.Sprintf(`{"conditions": %s}`, conditions)))
	w.start()
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	_, status = w.get(lb)
	if c := meta.FindStatusCondition(status.Conditions, "Announced"); c == nil || !c.LastTransitionTime.Equal(&other.LastTransitionTime) {
		w.t.Errorf("the other's condition is %+v", c)
	}
	if info := status.ProxyIfInfo["p1"]; info.Index != 7 || info.Name != "veth7" || status.ProxyIfIndex != 7 {
		w.t.Errorf("the node's words are now %+v", status)
	}
}
