// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/addresspool"
)

// Claim is an exclusive claim of one object on one thing. Claims are comparable.
type Claim struct {
	// kind is the first part of the key, such as "tunnel" or "child/DIGEST".
	kind string
	// number is set for claims of a Space, name for all others.
	number uint64
	name   string
}

func (c Claim) path() string {
	if c.name != "" {
		return c.kind + "/" + c.name
	}
	return fmt.Sprintf("%s/%020d", c.kind, c.number)
}

// Kind returns the first part of the claim's key: tunnel, group, service, address, place,
// child, pool, unique or dns.
func (c Claim) Kind() string {
	kind, _, _ := strings.Cut(c.kind, "/")
	return kind
}

// Number returns the claimed ID or quota slot, or 0 if the claim is for neither.
func (c Claim) Number() uint64 { return c.number }

// Address returns the claimed address, and false if the claim is not for an address.
func (c Claim) Address() (netip.Addr, bool) {
	if c.kind != kindAddress {
		return netip.Addr{}, false
	}
	a, err := parseAddressKey(c.name)
	return a, err == nil
}

const (
	kindAddress = "address"
	kindPlace   = "place"
	kindChild   = "child"
	kindPool    = "pool"
	kindUnique  = "unique"
)

// Set is a set of claims of one object. The zero value is empty.
type Set struct {
	claims map[Claim]struct{}
	twice  []Claim
}

func (s *Set) add(c Claim) {
	if s.claims == nil {
		s.claims = map[Claim]struct{}{}
	}
	if _, ok := s.claims[c]; ok {
		s.twice = append(s.twice, c)
	}
	s.claims[c] = struct{}{}
}

// AddID claims a number of a space.
func (s *Set) AddID(space Space, id int32) {
	if id > 0 {
		s.add(Claim{kind: space.name, number: uint64(id)})
	}
}

// AddAddress claims an IP address, which is unique in the installation.
func (s *Set) AddAddress(a netip.Addr) {
	if a.IsValid() {
		s.add(AddressClaim(a))
	}
}

// AddressClaim returns the claim of an address.
func AddressClaim(a netip.Addr) Claim {
	return Claim{kind: kindAddress, name: addressKey(a)}
}

// AddSlot claims one of the account's quota slots.
func (s *Set) AddSlot(account Ref, place int32) {
	if place > 0 {
		s.add(Claim{kind: placeKind(account), number: uint64(place)})
	}
}

func placeKind(account Ref) string { return kindPlace + "/" + digest(account.String()) }

// AddParent records that the object depends on parent, which then can't be deleted. uid
// is the UID of the dependent object.
func (s *Set) AddParent(parent Ref, uid string) {
	s.add(Claim{kind: childKind(parent), name: uid})
}

func childKind(parent Ref) string { return kindChild + "/" + digest(parent.String()) }

// AddUnique claims a combination of values that is unique in a scope.
func (s *Set) AddUnique(scope string, values ...string) {
	s.add(Claim{kind: kindUnique + "/" + scope, name: digest(values...)})
}

// AddPool claims a range of addresses. Plan.Pools prevents overlaps between the pools of
// different objects.
func (s *Set) AddPool(p addresspool.Pool) {
	s.add(Claim{kind: kindPool, name: poolKey(p)})
}

// minus returns the claims that are in s and not in o, sorted by key.
func (s *Set) minus(o *Set) []Claim {
	var out []Claim
	for c := range s.claims {
		if _, ok := o.claims[c]; !ok {
			out = append(out, c)
		}
	}
	sortClaims(out)
	return out
}

// Sorted returns the claims sorted by key.
func (s *Set) Sorted() []Claim { return s.minus(&Set{}) }

func sortClaims(cs []Claim) {
	slices.SortFunc(cs, func(a, b Claim) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), cmp.Compare(a.number, b.number), strings.Compare(a.name, b.name))
	})
}

// run is a range of claims with adjacent keys, so one comparison and one deletion cover
// them.
type run []Claim

// runs splits sorted claims into ranges.
func runs(cs []Claim) []run {
	var out []run
	for i := 0; i < len(cs); {
		j := i + 1
		for j < len(cs) && cs[i].name == "" && cs[j].name == "" && cs[j].kind == cs[i].kind && cs[j].number == cs[j-1].number+1 {
			j++
		}
		out = append(out, cs[i:j])
		i = j
	}
	return out
}

// keyRange returns the half-open range of etcd keys of the run.
func (r run) keyRange(l layout) (first, end string) {
	return l.claim(r[0]), l.claim(r[len(r)-1]) + "\x00"
}
