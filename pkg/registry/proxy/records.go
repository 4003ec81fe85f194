// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/dnsname"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// setRecords gives the object the DNS records of its addresses under the name
// that the group's template makes. A caller's own records are refused unless
// they are for that name: DNS names are not for tenants to choose.
func setRecords(v View, up parents) error {
	template := up.group.Spec.EndpointTemplate
	if template == nil || template.DNSName == "" {
		if len(*v.Endpoints) > 0 {
			return tenancy.Invalid(v.Kind, v.Meta.Name, field.Forbidden(spec.Child("endpoints"),
				"the group's endpoint-template makes no DNS name: leave endpoints out"))
		}
		return nil
	}
	name, err := dnsname.RenderDNSName(template.DNSName, dnsname.DNSParams{
		LBName:             v.Meta.Name,
		LBSGName:           up.group.Name,
		PureLBServiceName:  v.displayName(),
		ClusterServiceName: v.displayName(),
		ClusterServiceNS:   v.ClientNamespace,
		Account:            up.account.Name,
		IPAddress:          strings.NewReplacer(".", "-", ":", "-").Replace(*v.PublicAddress),
	})
	if err != nil {
		if *v.PublicAddress == "" {
			// A dry run assigns no address, and the name may need one.
			return nil
		}
		return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(spec.Child("display-name"), v.displayName(),
			"with the group's endpoint-template it makes no DNS name ("+err.Error()+"): choose a display-name that is a DNS label"))
	}
	for i, e := range *v.Endpoints {
		if !strings.EqualFold(e.DNSName, name) {
			return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(spec.Child("endpoints").Index(i).Child("dnsName"), e.DNSName,
				"the group's endpoint-template makes the name, "+name+" for this object: leave endpoints out"))
		}
	}
	*v.Endpoints = nil
	for _, address := range []*string{v.PublicAddress, v.AltAddress} {
		if address != nil && *address != "" {
			*v.Endpoints = append(*v.Endpoints, record(*template, name, *address))
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
