// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// Claims returns the claims of an object of either kind: its tunnel IDs, its addresses,
// its account's right to its DNS names, its service ID, its quota slot, and its parents.
func Claims(v View) *claims.Set {
	s := &claims.Set{}
	for _, entry := range v.Status.GUETunnelEndpoints {
		for _, tunnel := range entry.EPICEndpoints {
			s.AddID(claims.TunnelIDs, tunnel.TunnelID)
		}
	}
	addAddress(s, *v.PublicAddress)
	if v.AltAddress != nil {
		addAddress(s, *v.AltAddress)
	}
	account := tenancy.AccountRef(v.Meta.Namespace)
	for _, r := range *v.Endpoints {
		s.AddDNSName(r.DNSName, account, string(v.Meta.UID))
	}
	if v.ServiceID != nil {
		s.AddID(claims.ServiceIDs(account), *v.ServiceID)
	}
	s.AddSlot(account, v.Status.QuotaPlace)
	s.AddParent(account, string(v.Meta.UID))
	if group := v.Meta.Labels[epic.OwningLBServiceGroupLabel]; group != "" {
		s.AddParent(tenancy.GroupRef(v.Meta.Labels[epic.OwningLBServiceGroupNamespaceLabel], group), string(v.Meta.UID))
	}
	return s
}

func addAddress(s *claims.Set, text string) {
	if a, err := netip.ParseAddr(text); err == nil {
		s.AddAddress(a)
	}
}

// Cooling returns the error for an address that another account released a short time
// ago.
func Cooling(v View, c claims.Claim, until time.Time) error {
	a, _ := c.Address()
	return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(v.addressPath(a), a.String(),
		"the address was in use until recently and is free from "+when(until)+" on: wait until then, request another, or leave it out, so the server assigns one"))
}

// when formats a time for a message.
func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (v View) addressPath(a netip.Addr) *field.Path {
	if v.AltAddress != nil {
		if alt, err := netip.ParseAddr(*v.AltAddress); err == nil && alt == a {
			return spec.Child("alt-address")
		}
	}
	return spec.Child("public-address")
}

// Taken returns the error for a requested claim that another object holds.
func Taken(v View, c claims.Claim) error {
	if c.Kind() == "dns" {
		name := (*v.Endpoints)[0].DNSName
		group := v.Meta.Labels[epic.OwningLBServiceGroupNamespaceLabel] + "/" + v.Meta.Labels[epic.OwningLBServiceGroupLabel]
		return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(spec.Child("endpoints").Index(0).Child("dnsName"), name,
			"another account has this DNS name: choose another display-name, or ask the platform team to add {{.Account}} to spec.endpoint-template.dnsName of LBServiceGroup "+group+", which makes the name"))
	}
	if a, ok := c.Address(); ok {
		return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(v.addressPath(a), a.String(),
			"the address is in use: leave it out, so the server assigns one, or request another"))
	}
	return tenancy.Invalid(v.Kind, v.Meta.Name, field.Invalid(field.NewPath("status", "gue-tunnel-endpoints"), c.Number(),
		"tunnel ID in use: the server assigns tunnel IDs; leave tunnel-id out"))
}
