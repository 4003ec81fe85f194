// SPDX-License-Identifier: Apache-2.0

package translate

import "strings"

// A hostname is a DNS name, a wildcard such as "*.example.com" that covers every name
// below its domain at any depth, or anyHost.

// anyHost covers every name.
const anyHost = "*"

// covers reports whether a covers every name that b covers.
func covers(a, b string) bool {
	if a == anyHost || a == b {
		return true
	}
	suffix, wildcard := strings.CutPrefix(a, "*")
	return wildcard && b != anyHost && strings.HasSuffix(b, suffix)
}

// intersect returns the hostname that covers the names that both cover. It returns false
// if there is no such name.
func intersect(a, b string) (string, bool) {
	switch {
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// moreSpecific reports whether a hostname takes precedence over another one that covers
// the same name: exact names before wildcards, and longer wildcards before shorter ones.
func moreSpecific(a, b string) bool {
	aWild, bWild := strings.HasPrefix(a, "*"), strings.HasPrefix(b, "*")
	if aWild != bWild {
		return bWild
	}
	return len(a) > len(b)
}

// orAny returns an optional hostname, or anyHost if it is empty.
func orAny(s string) string {
	if s == "" {
		return anyHost
	}
	return strings.ToLower(s)
}

// IntersectHostnames returns the intersection of two hostnames, each of which may begin
// with a wildcard or be empty for any, and false if it is empty. Any is "*".
func IntersectHostnames(a, b string) (string, bool) { return intersect(orAny(a), orAny(b)) }
