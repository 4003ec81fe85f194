// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/dnsname"
)

// recordsTouched reports whether an update changes something of which DNS
// records are made, or the records.
func recordsTouched(old, v View) bool {
	return v.displayName() != old.displayName() || v.ClientNamespace != old.ClientNamespace ||
		*v.PublicAddress != *old.PublicAddress || v.altAddress() != old.altAddress() ||
		!apiequality.Semantic.DeepEqual(*v.Endpoints, *old.Endpoints)
}

// setRecords gives the object the DNS records of its addresses under the name
// that the group's template makes. A caller's own records are refused unless
// they are for that name: DNS names are not for tenants to choose.
func setRecords(_ context.Context, w *write) error {
	template := w.up.group.Spec.EndpointTemplate
	if w.old != nil && sameNames(*w.Endpoints, *w.old.Endpoints) {
		// The caller writes back what was there, or nothing.
		*w.Endpoints = nil
	}
	if template == nil || template.DNSName == "" {
		if len(*w.Endpoints) > 0 {
			return w.refuse(field.Forbidden(spec.Child("endpoints"),
				"the group's endpoint-template makes no DNS name: leave endpoints out"))
		}
		*w.Endpoints = nil
		return nil
	}
	name, err := dnsname.RenderDNSName(template.DNSName, dnsname.DNSParams{
		LBName:             epic.NameLabel(w.Meta.Name),
		LBSGName:           w.up.group.Name,
		PureLBServiceName:  w.displayName(),
		ClusterServiceName: w.displayName(),
		ClusterServiceNS:   w.ClientNamespace,
		Account:            w.up.account.Name,
		IPAddress:          strings.NewReplacer(".", "-", ":", "-").Replace(*w.PublicAddress),
	})
	if err != nil {
		if *w.PublicAddress == "" {
			// A dry run assigns no address, and the name may need one.
			return nil
		}
		return w.refuse(field.Invalid(spec.Child("display-name"), w.displayName(),
			"with the group's endpoint-template it makes no DNS name ("+err.Error()+"): choose a display-name that is a DNS label"))
	}
	for i, e := range *w.Endpoints {
		if !strings.EqualFold(e.DNSName, name) {
			return w.refuse(field.Invalid(spec.Child("endpoints").Index(i).Child("dnsName"), e.DNSName,
				"the group's endpoint-template makes the name, "+name+" for this object: leave endpoints out"))
		}
	}
	*w.Endpoints = nil
	for _, address := range []string{*w.PublicAddress, w.altAddress()} {
		if address != "" {
			*w.Endpoints = append(*w.Endpoints, record(*template, name, address))
		}
	}
	return nil
}

// record fills the template in for one address, whose family decides the type.
func record(template epic.DNSEndpoint, name, address string) epic.DNSEndpoint {
	r := template
	r.DNSName = name
	r.Targets = append(slices.Clone(template.Targets), address)
	r.Labels = maps.Clone(template.Labels)
	r.ProviderSpecific = slices.Clone(template.ProviderSpecific)
	if a, err := netip.ParseAddr(address); err == nil && (r.RecordType == "" || r.RecordType == "A" || r.RecordType == "AAAA") {
		r.RecordType = "A"
		if a.Is6() {
			r.RecordType = "AAAA"
		}
	}
	return r
}
