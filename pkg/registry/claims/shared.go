// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// kindDNS is the first part of the keys of claims on DNS names. Each name has a prefix
// below it, in which each group of objects that share the name has its own prefix. A
// write therefore only needs the condition that there is no key before and after its own
// group's prefix: it reads nothing, and writes of one group do not conflict.
const kindDNS = "dns"

// AddDNSName claims a DNS name for an account. Objects of one account may share a name;
// objects of different accounts may not. uid is the UID of the object.
func (s *Set) AddDNSName(name string, account Ref, uid string) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	c := Claim{kind: kindDNS + "/" + digest(name) + "/" + digest(account.String()), name: uid}
	if _, ok := s.claims[c]; !ok {
		// An object's records may share a name.
		s.add(c)
	}
}

// folders returns the key prefix of the shared thing, and that of the group that shares
// it. Both are "" for claims that are not shared.
func (c Claim) folders() (shared, group string) {
	if c.Kind() != kindDNS {
		return "", ""
	}
	return c.kind[:strings.LastIndexByte(c.kind, '/')], c.kind
}

// sharedConditions returns the conditions that no other group holds the thing that a
// claim shares.
func sharedConditions(l layout, c Claim, taken func(holder Owner) error) []condition {
	shared, group := c.folders()
	if shared == "" {
		return nil
	}
	first, own := l.claims()+shared+"/", l.claims()+group+"/"
	out := make([]condition, 0, 2)
	for _, r := range [][2]string{{first, own}, {clientv3.GetPrefixRangeEnd(own), clientv3.GetPrefixRangeEnd(first)}} {
		out = append(out, condition{
			cmp: clientv3.Compare(clientv3.CreateRevision(r[0]), "=", 0).WithRange(r[1]),
			key: r[0], end: r[1],
			failed: func(kvs []keyValue) bool { return len(kvs) > 0 },
			err: func(kvs []keyValue) error {
				holder, err := parseOwner([]byte(kvs[0].value))
				if err != nil {
					return err
				}
				return taken(holder)
			},
		})
	}
	return out
}
