// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"strconv"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	aggregationDefault = "default"
	// maxPool is longer than the longest range of two IPv6 addresses.
	maxPool = 96
)

// ValidateServicePrefix checks a new object.
func ValidateServicePrefix(obj *epic.ServicePrefix) field.ErrorList {
	errs := dnsLabel(metaPath.Child("name"), obj.Name)
	errs = append(errs, inConfigNamespace(&obj.ObjectMeta, "a service prefix")...)
	return append(errs, servicePrefixSpec(&obj.Spec)...)
}

// ValidateServicePrefixUpdate checks a change of an object. That a pool keeps
// the addresses that are in use is checked where claims are made.
func ValidateServicePrefixUpdate(obj, old *epic.ServicePrefix) field.ErrorList {
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return nil
	}
	return servicePrefixSpec(&obj.Spec)
}

// ValidateServicePrefixStatusUpdate checks a change of an object's status.
func ValidateServicePrefixStatusUpdate(obj, _ *epic.ServicePrefix) field.ErrorList {
	return statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
}

func servicePrefixSpec(spec *epic.ServicePrefixSpec) field.ErrorList {
	public, errs := addressPool(specPath.Child("public-pool"), spec.PublicPool)
	alt, more := addressPool(specPath.Child("alt-pool"), spec.AltPool)
	errs = append(errs, more...)
	if !alt.IsValid() {
		return errs
	}
	path := specPath.Child("alt-pool", "pool")
	if !alt.From().Is4() {
		errs = append(errs, field.Invalid(path, quoted(spec.AltPool.Pool), "must have IPv4 addresses, which proxies get in addition to their IPv6 addresses: move IPv6 addresses to public-pool"))
	}
	if public.IsValid() && public.Overlaps(alt) {
		errs = append(errs, field.Invalid(path, quoted(spec.AltPool.Pool), "overlaps public-pool ("+public.String()+"): choose other addresses"))
	}
	return errs
}

// addressPool checks a pool and returns its addresses, or the zero Pool.
// However many they are, only the first and the last are looked at.
func addressPool(path *field.Path, p *epic.AddressPool) (addresspool.Pool, field.ErrorList) {
	if p == nil {
		return addresspool.Pool{}, nil
	}
	pool, errs := poolAddresses(path.Child("pool"), p.Pool)
	subnet, more := prefix(path.Child("subnet"), p.Subnet)
	errs = append(errs, more...)
	if pool.IsValid() && subnet.IsValid() && (!subnet.Contains(pool.From()) || !subnet.Contains(pool.To())) {
		errs = append(errs, field.Invalid(path.Child("pool"), quoted(p.Pool), "is not in the subnet "+subnet.String()+": choose addresses inside it, or correct the subnet"))
	}
	errs = append(errs, aggregation(path.Child("aggregation"), p.Aggregation, subnet)...)
	return pool, append(errs, interfaceName(path.Child("multus-bridge"), bridge(p))...)
}

// bridge is the name of a pool's bridge, which has a default.
func bridge(p *epic.AddressPool) string {
	if p.MultusBridge == "" {
		return epic.DefaultMultusBridge
	}
	return p.MultusBridge
}

func poolAddresses(path *field.Path, s string) (addresspool.Pool, field.ErrorList) {
	if s == "" {
		return addresspool.Pool{}, field.ErrorList{field.Required(path, "must be a CIDR prefix, such as 192.0.2.0/28, or a range, such as 192.0.2.5-192.0.2.9")}
	}
	if errs := text(path, s, maxPool); len(errs) > 0 {
		return addresspool.Pool{}, errs
	}
	pool, err := addresspool.Parse(s)
	if err != nil {
		return addresspool.Pool{}, field.ErrorList{field.Invalid(path, s, err.Error())}
	}
	for _, a := range []netip.Addr{pool.From(), pool.To()} {
		if a.IsMulticast() || a.IsLoopback() || a.IsUnspecified() {
			return addresspool.Pool{}, field.ErrorList{field.Invalid(path, s, fmt.Sprintf("contains %s, which can't be assigned to a proxy: choose unicast addresses", a))}
		}
	}
	return pool, nil
}

// aggregation checks the mask under which an address is announced.
func aggregation(path *field.Path, s string, subnet netip.Prefix) field.ErrorList {
	if s == "" {
		return field.ErrorList{field.Required(path, "must be default or a mask, such as /32")}
	}
	if s == aggregationDefault {
		return nil
	}
	bits, least := 128, 0
	if subnet.IsValid() {
		bits, least = subnet.Addr().BitLen(), subnet.Bits()
	}
	if s[0] == '/' {
		n, err := strconv.Atoi(s[1:])
		switch {
		case err != nil || n < 0 || n > bits || s != "/"+strconv.Itoa(n):
		case n < least:
			return field.ErrorList{field.Invalid(path, s, fmt.Sprintf("is wider than the subnet %s, so the gateway would attract traffic for other networks: use default, or a mask from /%d to /%d", subnet, least, bits))}
		default:
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf("must be default or a mask from /%d to /%d: correct it", least, bits))}
}
