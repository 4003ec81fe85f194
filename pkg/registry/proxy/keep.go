// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// Keep restores fields that an update leaves out: omitting a value that the server
// assigned or copied from the group does not remove it.
func Keep(v, old View) {
	kind.KeepOwners(v.Meta, old.Meta)
	keep(v.PublicAddress, old.PublicAddress)
	keep(v.AltAddress, old.AltAddress)
	keep(v.ServiceGroup, old.ServiceGroup)
	if v.ServiceID != nil && kind.Replaced(old.Meta, spec.Child("service-id"), fmt.Sprint(*v.ServiceID)) {
		*v.ServiceID = 0
	}
	keep(v.ServiceID, old.ServiceID)
	if *v.EnvoyTemplate == nil {
		*v.EnvoyTemplate = *old.EnvoyTemplate
	}
	*v.ReplicaCount = Replicas(*v.ReplicaCount, *old.ReplicaCount)
	if sameNames(*v.Endpoints, *old.Endpoints) || len(*old.Endpoints) > 0 && kind.Replaced(old.Meta, spec.Child("endpoints"), names(*v.Endpoints)) {
		*v.Endpoints = *old.Endpoints
	}
}

// keep sets a field that was left out to its old value. field and old are nil for kinds
// that don't have the field.
func keep[T comparable](field, old *T) {
	var zero T
	if field != nil && *field == zero {
		*field = *old
	}
}

// names returns the distinct names of records.
func names(records []epic.DNSEndpoint) string {
	var out []string
	for _, r := range records {
		if name := strings.ToLower(r.DNSName); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// sameNames reports whether records only have names that are also in old. The server sets
// the rest of a record.
func sameNames(records, old []epic.DNSEndpoint) bool {
	names := map[string]bool{}
	for _, r := range old {
		names[strings.ToLower(r.DNSName)] = true
	}
	for _, r := range records {
		if !names[strings.ToLower(r.DNSName)] {
			return false
		}
	}
	return true
}
