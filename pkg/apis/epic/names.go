// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// hashLength is how many hexadecimal digits of a name's hash a label has. Names
// are told apart in one namespace only.
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
