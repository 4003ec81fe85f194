// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// hashLength is the number of hexadecimal digits of a name's hash in a label. The
// hash distinguishes names within one namespace only.
const hashLength = 10

// NameLabel returns the DNS label that stands for an object's name wherever there
// must be one: in a DNS name, in the name of a Service, in the value of a
// Kubernetes label. A name that is a DNS label stands for itself. Of any other, such
// as one with dots, the label has what fits and a hash of the whole, so different
// names get different labels.
func NameLabel(name string) string {
	if len(validation.IsDNS1123Label(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := hex.EncodeToString(sum[:])[:hashLength]
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
	if most := validation.DNS1123LabelMaxLength - hashLength - 1; len(readable) > most {
		readable = readable[:most]
	}
	if readable = strings.Trim(readable, "-"); readable == "" {
		return hash
	}
	return readable + "-" + hash
}

// LabelValue returns the value of a Kubernetes label that stands for an object's
// name: the name itself, unless it is too long for one. An object with such a label
// has the whole name in an annotation of the same key.
func LabelValue(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	return NameLabel(name)
}

// GatewayNodeName returns the name of the GatewayNode object of the node with an
// address. An IPv6 address has dashes in place of colons, and is written in full
// where its short form would not be a valid name.
func GatewayNodeName(a netip.Addr) string {
	name := strings.ReplaceAll(a.String(), ":", "-")
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		name = strings.ReplaceAll(a.StringExpanded(), ":", "-")
	}
	return name
}

// GatewayNodeAddress returns the address that the name of a GatewayNode object
// stands for. It accepts only what GatewayNodeName returns for the canonical
// address of one host, so no two names are the same node.
func GatewayNodeAddress(name string) (netip.Addr, error) {
	a, err := netip.ParseAddr(name)
	if err != nil {
		a, err = netip.ParseAddr(strings.ReplaceAll(name, "-", ":"))
	}
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("must be the address of a gateway node, with dashes in place of colons: write it as %s or %s", "192.0.2.40", "2001-db8--40")
	}
	if want := GatewayNodeName(a); want != name {
		return netip.Addr{}, fmt.Errorf("is not the name of the gateway node %s: write %s", a, want)
	}
	return a, nil
}
