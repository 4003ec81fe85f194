// SPDX-License-Identifier: Apache-2.0

package access

import (
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/acnodal/epic/pkg/credential"
)

func TestJudge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	unauthorized := apierrors.NewUnauthorized("no")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "gwproxies"}, "", errors.New("no role"))
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		err      error
		lifetime time.Duration
		manual   bool
		renewal  error
		status   metav1.ConditionStatus
		reason   string
		message  string
	}{
		"all is well":                        {nil, day, false, nil, metav1.ConditionTrue, ReasonConnected, "until 2027-01-16T08:00:00Z"},
		"it does not expire":                 {nil, 0, true, nil, metav1.ConditionTrue, ReasonConnected, "does not expire"},
		"a renewal failed":                   {nil, day, false, errors.New("no answer"), metav1.ConditionTrue, ReasonRenewalFailing, "until 2027-01-16T08:00:00Z, but it can't be renewed: no answer"},
		"nothing renews it":                  {nil, day, true, nil, metav1.ConditionTrue, ReasonNotRenewed, "until 2027-01-16T08:00:00Z, and the connector is not configured to renew it"},
		"nothing renews it, for long":        {nil, 30 * day, true, nil, metav1.ConditionTrue, ReasonConnected, "until 2027-02-14"},
		"a clock that is ahead":              {nil, -time.Hour, false, nil, metav1.ConditionTrue, ReasonConnected, "accepts"},
		"it expired":                         {unauthorized, -time.Hour, false, errors.New("no"), metav1.ConditionFalse, ReasonCredentialExpired, "expired at 2027-01-15T07:00:00Z. Requests are still served"},
		"it was revoked":                     {unauthorized, day, false, nil, metav1.ConditionFalse, ReasonCredentialRefused, "epicctl connect"},
		"it was revoked, without an end":     {unauthorized, 0, false, nil, metav1.ConditionFalse, ReasonCredentialRefused, "epicctl connect"},
		"its rights were taken":              {forbidden, day, false, nil, metav1.ConditionFalse, ReasonAccessDenied, "no role"},
		"EPIC is away":                       {errors.New("connection refused"), day, false, nil, metav1.ConditionFalse, ReasonUnreachable, "connection refused"},
		"EPIC is away, and the token is old": {errors.New("connection refused"), -day, false, nil, metav1.ConditionFalse, ReasonUnreachable, "connection refused"},
		"EPIC has trouble":                   {apierrors.NewInternalError(errors.New("etcd")), day, false, nil, metav1.ConditionFalse, ReasonUnreachable, "etcd"},
	} {
		c := &credential.Credential{}
		if test.lifetime != 0 {
			c.Expires = now.Add(test.lifetime)
		}
		got := Judge(&State{Err: test.err, Credential: c, Renewable: !test.manual, Renewal: test.renewal, Now: now})
		if got.Type != Condition || got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.message) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := Judge(&State{Err: credential.ErrNone, Now: now}); got.Reason != ReasonUnreachable {
		t.Errorf("without a credential: %+v", got)
	}
}
