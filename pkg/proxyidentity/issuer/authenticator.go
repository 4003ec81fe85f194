// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Evidence is the proof that a pod presents.
type Evidence struct {
	// Token is the pod's token or secret.
	Token string
	// Namespace and Pod are the identity that the pod claims.
	Namespace, Pod string
	// Remote is the source address of the call. It is invalid for a unix socket.
	Remote netip.Addr
	// Certificate is the identity in the client's verified certificate, or nil.
	Certificate *proxyidentity.Identity
}

// Authenticator determines the proxy of a pod.
type Authenticator interface {
	// Authenticate returns the identity that the evidence proves. The error is a
	// RefusedError if the evidence is invalid; any other error means that the result is
	// not known yet.
	Authenticate(ctx context.Context, e Evidence) (proxyidentity.Identity, error)
}

// Reason is a short reason of a refusal, for metrics.
type Reason string

// Values of Reason.
const (
	NoToken       Reason = "no_token"
	InvalidToken  Reason = "invalid_token"
	ExpiredToken  Reason = "expired_token"
	WrongAudience Reason = "wrong_audience"
	NotOfPod      Reason = "token_of_no_pod"
	OtherPod      Reason = "token_of_other_pod"
	OtherAddress  Reason = "other_address"
	NotAProxy     Reason = "not_a_proxy"
	ReusedSecret  Reason = "reused_secret"
	NotRunning    Reason = "not_running"
	BadRequest    Reason = "bad_request"
)

// RefusedError explains why a pod gets no certificate.
type RefusedError struct {
	Reason Reason
	Text   string
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Text }

func refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// ReasonOf returns the reason of a RefusedError, and false for any other error.
func ReasonOf(err error) (Reason, bool) {
	var e *RefusedError
	if errors.As(err, &e) {
		return e.Reason, true
	}
	return "", false
}
