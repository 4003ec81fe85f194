// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/dnsname"
)

const (
	maxDNSEndpoints  = 32
	maxTargets       = 64
	maxRecordLabels  = 64
	maxRecordText    = 1024
	maxProviderProps = 64
)

// recordTypes are those that external-dns writes.
var recordTypes = []string{"A", "AAAA", "CNAME", "MX", "NAPTR", "NS", "PTR", "SRV", "TXT"}

// dnsEndpoints checks the DNS records of a proxy.
func dnsEndpoints(path *field.Path, endpoints []epic.DNSEndpoint) field.ErrorList {
	errs := atMost(path, len(endpoints), maxDNSEndpoints)
	if len(errs) > 0 {
		return errs
	}
	for i := range endpoints {
		if full(errs) {
			break
		}
		e := &endpoints[i]
		at := path.Index(i)
		if name := strings.TrimSuffix(strings.ToLower(e.DNSName), "."); name != "" {
			if len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
				errs = append(errs, field.Invalid(at.Child("dnsName"), quoted(e.DNSName), "must be a DNS name, such as www.example.com"))
			}
		}
		errs = append(errs, dnsRecord(at, e)...)
	}
	return errs
}

// dnsTemplate checks the DNS record from which those of a group's proxies are
// made.
func dnsTemplate(path *field.Path, e *epic.DNSEndpoint) field.ErrorList {
	if e == nil {
		return nil
	}
	var errs field.ErrorList
	if e.DNSName != "" {
		if _, err := dnsname.RenderDNSName(e.DNSName, dnsname.SampleParams); err != nil {
			errs = append(errs, field.Invalid(path.Child("dnsName"), quoted(e.DNSName), err.Error()))
		}
	}
	return append(errs, dnsRecord(path, e)...)
}

func dnsRecord(path *field.Path, e *epic.DNSEndpoint) field.ErrorList {
	errs := oneOfOrNone(path.Child("recordType"), e.RecordType, recordTypes...)
	errs = append(errs, between(path.Child("recordTTL"), e.RecordTTL, 0, math.MaxInt32)...)
	errs = append(errs, text(path.Child("setIdentifier"), e.SetIdentifier, maxName)...)
	errs = append(errs, atMost(path.Child("targets"), len(e.Targets), maxTargets)...)
	errs = append(errs, atMost(path.Child("labels"), len(e.Labels), maxRecordLabels)...)
	errs = append(errs, atMost(path.Child("providerSpecific"), len(e.ProviderSpecific), maxProviderProps)...)
	if len(errs) > 0 {
		return errs
	}
	for i, t := range e.Targets {
		if full(errs) {
			break
		}
		errs = append(errs, text(path.Child("targets").Index(i), t, maxRecordText)...)
	}
	for k, v := range e.Labels {
		if full(errs) {
			break
		}
		errs = append(errs, text(path.Child("labels"), k, maxName)...)
		errs = append(errs, text(path.Child("labels").Key(quoted(k)), v, maxRecordText)...)
	}
	for i, p := range e.ProviderSpecific {
		if full(errs) {
			break
		}
		errs = append(errs, text(path.Child("providerSpecific").Index(i).Child("name"), p.Name, maxName)...)
		errs = append(errs, text(path.Child("providerSpecific").Index(i).Child("value"), p.Value, maxRecordText)...)
	}
	return errs
}
