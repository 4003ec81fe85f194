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

// refused remembers which objects EPIC refuses.
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

// set remembers a refusal, or forgets it if it is none.
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

// note remembers whether EPIC refuses an object, and records an event if it refuses it for
// another reason than before. It returns whether anything changed.
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

// isRefusal returns whether an error of EPIC's is about the object itself, so the same
// write fails again until somebody changes something. An account's limit is one, but not a
// credential without rights: it was revoked, or the server is just starting. Then nothing
// that is published or said changes, as while EPIC is away.
func isRefusal(err error) bool {
	var foreign *foreignError
	return errors.As(err, &foreign) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		apierrors.IsForbidden(err) && !unauthorized.MatchString(err.Error())
}

// unauthorized matches what Kubernetes answers to a user without rights. The reason is the
// same as for an account's limit.
var unauthorized = regexp.MustCompile(`: User "[^"]*" cannot [a-z]+ resource "`)

// refusalOf is a refusal in the words of the Gateway API.
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
