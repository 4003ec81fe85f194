// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/shorten"
)

const (
	// maxName is the maximum length of names that follow another system's rules.
	maxName = 253
	// maxQuoted is how much of a value a message repeats.
	maxQuoted = 128
	// maxErrors is the number of errors of a list after which its remaining items are
	// not validated. An error takes a hundred times the memory of the few bytes that
	// cause it, and more errors do not help a user.
	maxErrors = 32
	// maxConditions is the maximum number of conditions of an object.
	maxConditions = 64
)

// full reports whether a list has given enough errors.
func full(errs field.ErrorList) bool { return len(errs) >= maxErrors }

// few is the first of many errors: joining them takes time and memory that grow
// with the square of their number.
func few(errs field.ErrorList) field.ErrorList { return errs[:min(len(errs), maxErrors)] }

// quoted is a value as messages show it.
func quoted(s string) string { return shorten.To(maxQuoted, s) }

// text checks that s is no longer than most and has nothing in it that changes
// how a terminal or a log shows it.
func text(path *field.Path, s string, most int) field.ErrorList {
	if len(s) > most {
		return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf("is %d bytes long: shorten it to %d", len(s), most))}
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return field.ErrorList{field.Invalid(path, quoted(s), "must be text without control characters: remove them")}
	}
	return nil
}

// word is text without spaces.
func word(path *field.Path, s string, most int) field.ErrorList {
	if errs := text(path, s, most); len(errs) > 0 {
		return errs
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return field.ErrorList{field.Invalid(path, quoted(s), "must not contain spaces: remove them")}
	}
	return nil
}

// oneOf checks a closed enumeration.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	if value == "" {
		return field.ErrorList{field.Required(path, "use one of "+list(allowed))}
	}
	return field.ErrorList{field.Invalid(path, quoted(string(value)), "is not supported: use one of "+list(allowed))}
}

// oneOfOrNone is oneOf for a field that may be left out.
func oneOfOrNone[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" {
		return nil
	}
	return oneOf(path, value, allowed...)
}

func list[T ~string](values []T) string {
	var s []string
	for _, v := range values {
		s = append(s, string(v))
	}
	return strings.Join(s, ", ")
}

// atMost checks the length of a list or a map.
func atMost(path *field.Path, n, most int) field.ErrorList {
	if n <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("has more than %d entries: remove some", most))}
}

// entries checks the entries of a map in the order of their keys, until there are errors
// enough.
func entries[T any](path *field.Path, all map[string]T, check func(at *field.Path, key string, value T) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if full(errs) {
			break
		}
		errs = append(errs, check(path.Key(quoted(key)), key, all[key])...)
	}
	return few(errs)
}

// between checks a number.
func between[T ~int | ~int32 | ~int64](path *field.Path, n, least, most T) field.ErrorList {
	if n >= least && n <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("must be from %d to %d: choose a number in that range", least, most))}
}

// notNegative checks a counter.
func notNegative[T ~int | ~int32 | ~int64](path *field.Path, n T) field.ErrorList {
	if n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, "must not be negative: leave it out")}
}

// dnsLabel checks a name of which a part of a DNS name, or a Service, is made.
func dnsLabel(path *field.Path, s string) field.ErrorList {
	return named(path, s, validation.IsDNS1123Label(s))
}

// dnsName checks a name that may have dots.
func dnsName(path *field.Path, s string) field.ErrorList {
	return named(path, s, validation.IsDNS1123Subdomain(s))
}

func named(path *field.Path, s string, problems []string) field.ErrorList {
	if s == "" {
		return field.ErrorList{field.Required(path, "must have a name")}
	}
	var errs field.ErrorList
	for _, p := range problems {
		errs = append(errs, field.Invalid(path, quoted(s), p))
	}
	return errs
}

// interfaceForm is narrower than what Linux takes: names come into commands and
// paths, so what means something to a shell has no place in them.
var interfaceForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`)

// interfaceName checks the name of a network interface.
func interfaceName(path *field.Path, s string) field.ErrorList {
	if interfaceForm.MatchString(s) && s != "." && s != ".." {
		return nil
	}
	return field.ErrorList{field.Invalid(path, quoted(s), "must be the name of a network interface: 1 to 15 letters, digits, dots, dashes and underscores, such as eth0")}
}

// image checks a container image reference. Which references exist is for the
// cluster that runs them to say.
func image(path *field.Path, s string) field.ErrorList {
	const most = 1024
	return word(path, s, most)
}
