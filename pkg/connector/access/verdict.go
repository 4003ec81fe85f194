// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/credential"
)

// Condition is the type of the condition on GatewayClasses that reports whether EPIC
// accepts the connector.
const Condition = epic.LabelPrefix + "Connected"

// Reasons of the condition. With the first three, its status is True.
const (
	ReasonConnected      = "Connected"
	ReasonRenewalFailing = "RenewalFailing"
	ReasonNotRenewed     = "NotRenewed"

	ReasonCredentialExpired = "CredentialExpired" //nolint:gosec // a reason
	ReasonCredentialRefused = "CredentialRefused" //nolint:gosec // a reason
	ReasonAccessDenied      = "AccessDenied"
	ReasonUnreachable       = "Unreachable"
)

// notRenewed is how long before its expiration a credential that is not renewed is
// reported.
const notRenewed = 7 * 24 * time.Hour

// replace is the suggested fix for a credential that EPIC does not accept.
const replace = "Requests are still served, but changes are not published. Ask the platform team for a new manifest (epicctl connect), and apply it"

// State is the known state of the connector's access to EPIC.
type State struct {
	// Err is the error of a request to EPIC, or nil if EPIC responded.
	Err error
	// Credential is the credential of the request.
	Credential *credential.Credential
	// Renewable is set if the connector renews the credential itself.
	Renewable bool
	// Renewal is the error of the last attempt to renew it, or nil if it succeeded.
	Renewal error
	// Now is the time of this host.
	Now time.Time
}

// Judge returns the condition. EPIC decides whether a credential is valid: this host's
// clock only distinguishes an expired one from a revoked one.
func Judge(s *State) metav1.Condition {
	var expires time.Time
	if s.Credential != nil {
		expires = s.Credential.Expires
	}
	at := expires.UTC().Format(time.RFC3339)
	condition := func(status metav1.ConditionStatus, reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{Type: Condition, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case apierrors.IsUnauthorized(s.Err) && !expires.IsZero() && !s.Now.Before(expires):
		return condition(metav1.ConditionFalse, ReasonCredentialExpired, "The connector's credential for EPIC expired at %s. %s", at, replace)
	case apierrors.IsUnauthorized(s.Err):
		return condition(metav1.ConditionFalse, ReasonCredentialRefused, "EPIC refuses the connector's credential: the cluster was disconnected, or the credential was revoked. %s", replace)
	case apierrors.IsForbidden(s.Err):
		return condition(metav1.ConditionFalse, ReasonAccessDenied, "The connector's credential lacks permissions: %v. Ask the platform team to run epicctl connect again", s.Err)
	case s.Err != nil:
		return condition(metav1.ConditionFalse, ReasonUnreachable, "EPIC does not respond: %v. Requests are still served, and changes are published when EPIC is available again", s.Err)
	case expires.IsZero():
		return condition(metav1.ConditionTrue, ReasonConnected, "EPIC accepts the connector's credential, which does not expire")
	case s.Renewal != nil:
		return condition(metav1.ConditionTrue, ReasonRenewalFailing, "EPIC accepts the connector's credential until %s, but it can't be renewed: %v", at, s.Renewal)
	case !s.Renewable && expires.Sub(s.Now) < notRenewed:
		return condition(metav1.ConditionTrue, ReasonNotRenewed, "EPIC accepts the connector's credential until %s, and the connector is not configured to renew it: replace the kubeconfig before that", at)
	}
	return condition(metav1.ConditionTrue, ReasonConnected, "EPIC accepts the connector's credential until %s", at)
}
