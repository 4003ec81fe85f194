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

// Audit annotations of a write: what its transaction claimed for the object, and what it
// released, as in "address 192.0.2.4, place 3, tunnel 17-42".
const (
	ClaimedAnnotation  = "epic.acnodal.io/claimed"
	ReleasedAnnotation = "epic.acnodal.io/released"
)

// maxRecorded is how many ranges of claims an annotation names.
const maxRecorded = 64

// annotateRecord adds what a write claimed and released to the audit record of its request.
// A request that writes many objects gets an annotation for each, with the object's name
// behind a slash.
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

// recorded is the text of claims, without those that only the server has a use for.
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

// String is the kind of the claims and what they are for, or "" if their keys do not tell.
func (r run) String() string {
	first, last := r[0], r[len(r)-1]
	switch kind := first.Kind(); {
	case kind == kindAddress:
		if a, ok := first.Address(); ok {
			return kind + " " + a.String()
		}
	case kind == kindPool:
		from, to, _ := strings.Cut(first.name, "-")
		f, err := parseAddressKey(from)
		t, e := parseAddressKey(to)
		if err == nil && e == nil {
			return fmt.Sprintf("%s %v-%v", kind, f, t)
		}
	case first.name == "" && len(r) > 1:
		return fmt.Sprintf("%s %d-%d", kind, first.number, last.number)
	case first.name == "":
		return fmt.Sprintf("%s %d", kind, first.number)
	}
	return ""
}
