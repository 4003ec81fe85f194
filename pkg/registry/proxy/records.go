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
	"github.com/acnodal/epic/pkg/registry/kind"
)

// recordsTouched reports whether an update changes the DNS records or a field from which
// they are made.
func recordsTouched(old, v View) bool {
	return v.displayName() != old.displayName() || v.ClientNamespace != old.ClientNamespace ||
		*v.PublicAddress != *old.PublicAddress || v.altAddress() != old.altAddress() ||
		!apiequality.Semantic.DeepEqual(*v.Endpoints, *old.Endpoints)
}

// setRecords sets the DNS records of the object's addresses, with the name that the
// group's template yields: tenants can't choose DNS names. Records with other names are
// replaced on creation, because an object from a backup may have records of an earlier
// template, and rejected on an update.
func setRecords(ctx context.Context, w *write) error {
	if w.old == nil && len(*w.Endpoints) > 0 {
		brought := names(*w.Endpoints)
		*w.Endpoints = nil
		if err := makeRecords(w); err != nil {
			return err
		}
		// A dry run may not know the name.
		if made := names(*w.Endpoints); made != brought && (made != "" || *w.PublicAddress != "") {
			kind.Replace(ctx, w.Meta, spec.Child("endpoints"), brought, "the group's endpoint-template determines the names of DNS records")
		}
		return nil
	}
	return makeRecords(w)
}

func makeRecords(w *write) error {
	template := w.up.group.Spec.EndpointTemplate
	if w.old != nil && sameNames(*w.Endpoints, *w.old.Endpoints) {
		// The caller sends the previous records, or none.
		*w.Endpoints = nil
	}
	if template == nil || template.DNSName == "" {
		if len(*w.Endpoints) > 0 {
			return w.refuse(field.Forbidden(spec.Child("endpoints"),
				"the group's endpoint-template has no DNS name: leave endpoints out"))
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
			"with the group's endpoint-template, it does not result in a DNS name ("+err.Error()+"): choose a display-name that is a DNS label"))
	}
	for i, e := range *w.Endpoints {
		if !strings.EqualFold(e.DNSName, name) {
			return w.refuse(field.Invalid(spec.Child("endpoints").Index(i).Child("dnsName"), e.DNSName,
				"the group's endpoint-template determines the name, "+name+" for this object: leave endpoints out"))
		}
	}
	*w.Endpoints = nil
	for _, address := range []string{*w.PublicAddress, w.altAddress()} {
		if address != "" {
			*w.Endpoints = append(*w.Endpoints, record(*template, name, address))
		}
	}
	if len(*w.Endpoints) == 0 {
		// A dry run assigns no address, but the account must be allowed to use the name.
		*w.Endpoints = append(*w.Endpoints, record(*template, name))
	}
	return nil
}

// record returns the template, filled in for an address if there is one. The address
// family determines the record type.
func record(template epic.DNSEndpoint, name string, addresses ...string) epic.DNSEndpoint {
	r := template
	r.DNSName = name
	r.Targets = append(slices.Clone(template.Targets), addresses...)
	r.Labels = maps.Clone(template.Labels)
	r.ProviderSpecific = slices.Clone(template.ProviderSpecific)
	if len(addresses) == 0 {
		return r
	}
	if a, err := netip.ParseAddr(addresses[0]); err == nil && (r.RecordType == "" || r.RecordType == "A" || r.RecordType == "AAAA") {
		r.RecordType = "A"
		if a.Is6() {
			r.RecordType = "AAAA"
		}
	}
	return r
}
