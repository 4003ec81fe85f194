// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apiaudit "k8s.io/apiserver/pkg/audit"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// Audit annotations of a write: what its transaction claimed for the object and what it
// released, such as "address 192.0.2.4, quota slot 3, tunnel 17-42".
const (
	ClaimedAnnotation  = "epic.acnodal.io/claimed"
	ReleasedAnnotation = "epic.acnodal.io/released"
)

// maxRecorded is the maximum number of ranges of claims in an annotation.
const maxRecorded = 64

// annotateRecord adds what a write claimed and released to the audit record of its request.
// A request that writes many objects gets one annotation per object, with a slash and the
// object's name as suffix.
func annotateRecord(ctx context.Context, p *pending) {
	if !apiaudit.AuditContextFrom(ctx).Enabled() {
		return
	}
	suffix := ""
	if info, ok := genericapirequest.RequestInfoFrom(ctx); ok && info.Name != p.owner.Name && info.Verb == "deletecollection" {
		suffix = "/" + p.owner.Name
	}
	for _, a := range []struct {
		key    string
		claims []Claim
	}{{ClaimedAnnotation, p.adds}, {ReleasedAnnotation, p.releases}} {
		if text := recorded(a.claims); text != "" {
			apiaudit.AddAuditAnnotation(ctx, a.key+suffix, text)
		}
	}
}

// recorded returns the text of the claims, without those that only the server uses.
func recorded(claims []Claim) string {
	var out []string
	for _, r := range runs(claims) {
		if text := r.String(); text != "" {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	if more := len(out) - maxRecorded; more > 0 {
		out = append(out[:maxRecorded], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

// String returns the kind of the claims and what they are for, or "" if their keys do not
// contain it.
func (r run) String() string {
	first, last := r[0], r[len(r)-1]
	kind := first.Kind()
	if kind == kindPlace {
		kind = "quota slot"
	}
	switch {
	case kind == kindAddress:
		if a, ok := first.Address(); ok {
			return kind + " " + a.String()
		}
	case kind == kindPool:
		if pool, err := parsePoolKey(first.name); err == nil {
			return fmt.Sprintf("%s %v-%v", kind, pool.From(), pool.To())
		}
	case first.name == "" && len(r) > 1:
		return fmt.Sprintf("%s %d-%d", kind, first.number, last.number)
	case first.name == "":
		return fmt.Sprintf("%s %d", kind, first.number)
	}
	return ""
}
