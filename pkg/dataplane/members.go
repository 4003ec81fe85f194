// SPDX-License-Identifier: Apache-2.0

package dataplane

import "iter"

// scope is an endpoint's address behind one interface, or in one tunnel.
type scope struct {
	address [16]byte
	of      uint32
}

// member is a service in a scope: what distinguishes it from other services of the same
// address.
type member struct {
	// other is the tunnel for the scope of an interface, and the interface for that of a
	// tunnel.
	other    uint32
	port     uint16
	protocol uint8
}

// scopes holds services by scope. It is the only storage of the services of a gateway
// node, which may have hundreds of thousands, each with one entry for its tunnel and one
// for its interface.
type scopes struct {
	// first holds the service of each scope that was added first, and more the others in
	// the order in which they were added. Usually there is only one.
	first map[scope]member
	more  map[scope][]member
	// entries is the number of keys in the kernel's map for all of them: for each scope,
	// one for the address, and one for each of its ports.
	entries int
}

func newScopes() scopes {
	return scopes{first: map[scope]member{}, more: map[scope][]member{}}
}

// all iterates over all services.
func (s *scopes) all(yield func(scope, member) bool) {
	for in := range s.first {
		for one := range s.each(in) {
			if !yield(in, one) {
				return
			}
		}
	}
}

// each iterates over the services of a scope.
func (s *scopes) each(in scope) iter.Seq[member] {
	return func(yield func(member) bool) {
		first, ok := s.first[in]
		if !ok || !yield(first) {
			return
		}
		for _, one := range s.more[in] {
			if !yield(one) {
				return
			}
		}
	}
}

func (s *scopes) has(in scope, wanted member) bool {
	for one := range s.each(in) {
		if one == wanted {
			return true
		}
	}
	return false
}

func (s *scopes) empty(in scope) bool {
	_, ok := s.first[in]
	return !ok
}

func (s *scopes) hasPort(in scope, wanted member) bool {
	for one := range s.each(in) {
		if one.port == wanted.port && one.protocol == wanted.protocol {
			return true
		}
	}
	return false
}

// needs returns the number of additional keys in the kernel's map for a service that is
// not in the set yet.
func (s *scopes) needs(in scope, added member) int {
	switch {
	case s.empty(in):
		return 2
	case s.hasPort(in, added):
		return 0
	default:
		return 1
	}
}

// add adds a service that is not in the set yet.
func (s *scopes) add(in scope, added member) {
	s.entries += s.needs(in, added)
	if _, ok := s.first[in]; !ok {
		s.first[in] = added
		return
	}
	s.more[in] = append(s.more[in], added)
}

// drop removes a service, if it exists.
func (s *scopes) drop(in scope, gone member) {
	if !s.has(in, gone) {
		return
	}
	var rest []member
	for one := range s.each(in) {
		if one != gone {
			rest = append(rest, one)
		}
	}
	delete(s.first, in)
	delete(s.more, in)
	if len(rest) > 0 {
		s.first[in] = rest[0]
	}
	if len(rest) > 1 {
		s.more[in] = rest[1:]
	}
	s.entries -= s.needs(in, gone)
}
