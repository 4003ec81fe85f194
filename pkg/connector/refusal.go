// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// refused records which objects EPIC refuses.
type refused struct {
	kind string
	mu   sync.Mutex
	of   map[types.NamespacedName]publish.Refusal
}

func newRefused(kind string) *refused {
	return &refused{kind: kind, of: map[types.NamespacedName]publish.Refusal{}}
}

func (r *refused) get(name types.NamespacedName) publish.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[name]
}

// set records a refusal, or removes it if it is empty.
func (r *refused) set(name types.NamespacedName, refusal publish.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if refusal.Reason == "" {
		delete(r.of, name)
	} else {
		r.of[name] = refusal
	}
	refusals.WithLabelValues(r.kind).Set(float64(len(r.of)))
}

// note records whether EPIC refuses an object, and records an event if the reason
// changed. It reports whether anything changed.
func (b *base) note(r *refused, o client.Object, refusal publish.Refusal) bool {
	name := client.ObjectKeyFromObject(o)
	if r.get(name) == refusal {
		return false
	}
	r.set(name, refusal)
	if refusal.Reason != "" {
		b.recorder.Eventf(o, nil, corev1.EventTypeWarning, refusal.Reason, "Publish", "%s", refusal.Message)
	}
	return true
}

// isRefusal reports whether an error from EPIC concerns the object itself, so the same
// write fails again until somebody changes something. The limit of an account is such an
// error. A credential without permissions is not: it was revoked, or the server is
// starting. In that case, published objects and statuses stay unchanged, as while EPIC is
// unavailable.
func isRefusal(err error) bool {
	var foreign *foreignError
	return errors.As(err, &foreign) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		apierrors.IsForbidden(err) && !unauthorized.MatchString(err.Error())
}

// unauthorized matches the Kubernetes error for a user without permission. Its reason is
// the same as that for an account's limit.
var unauthorized = regexp.MustCompile(`: User "[^"]*" cannot [a-z]+ resource "`)

// refusalOf converts an error to a refusal with a reason of the Gateway API.
func refusalOf(err error, otherwise string) publish.Refusal {
	refusal := publish.Refusal{Reason: otherwise, Message: err.Error()}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return refusal
	}
	refusal.Message = "EPIC refuses it: " + status.Status().Message
	for _, cause := range causes(status.Status()) {
		if strings.HasSuffix(cause.Field, "public-address") || strings.HasSuffix(cause.Field, "alt-address") {
			refusal.Reason = string(gatewayv1.GatewayReasonAddressNotUsable)
		}
	}
	if apierrors.IsForbidden(err) {
		refusal.Reason = string(gatewayv1.GatewayReasonNoResources)
	}
	return refusal
}

func causes(s metav1.Status) []metav1.StatusCause {
	if s.Details == nil {
		return nil
	}
	return s.Details.Causes
}
