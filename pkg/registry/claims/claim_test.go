// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var testAccount = Ref{Resource: "accounts", Namespace: "epic-a", Name: "a"}

func TestClaimKeys(t *testing.T) {
	l := newLayout("registry")
	var s Set
	s.AddID(TunnelIDs, 7)
	s.AddID(GroupIDs, MaxID)
	s.AddID(ServiceIDs(testAccount), 3)
	s.AddAddress(addr("192.0.2.1"))
	s.AddAddress(addr("2001:db8::1"))
	s.AddSlot(testAccount, 12)
	s.AddParent(testAccount, "uid-1")
	s.AddUnique("endpoint", "a", "b")
	s.AddPool(pool(t, "192.0.2.0/24"))
	account := digest(testAccount.String())
	want := []string{
		"/registry/.claims/v1/address/00000000000000000000ffffc0000201",
		"/registry/.claims/v1/address/20010db8000000000000000000000001",
		"/registry/.claims/v1/child/" + account + "/uid-1",
		"/registry/.claims/v1/group/00000000002147483647",
		"/registry/.claims/v1/place/" + account + "/00000000000000000012",
		"/registry/.claims/v1/pool/00000000000000000000ffffc0000200-00000000000000000000ffffc00002ff",
		"/registry/.claims/v1/service/" + account + "/00000000000000000003",
		"/registry/.claims/v1/tunnel/00000000000000000007",
		"/registry/.claims/v1/unique/endpoint/" + digest("a", "b"),
	}
	var got []string
	for _, c := range s.Sorted() {
		key := l.claim(c)
		got = append(got, key)
		if strings.Contains(key, "epic-a") {
			t.Errorf("%s tells a tenant's name", key)
		}
		if kind := strings.Split(key, "/")[4]; c.Kind() != kind {
			t.Errorf("%s is of kind %s", key, c.Kind())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// An absent value is no claim.
	var none Set
	none.AddID(TunnelIDs, 0)
	none.AddID(TunnelIDs, -1)
	none.AddSlot(testAccount, 0)
	none.AddAddress(netip.Addr{})
	if len(none.Sorted()) > 0 {
		t.Errorf("got %v", none.Sorted())
	}
	if a, ok := AddressClaim(addr("192.0.2.1")).Address(); !ok || a != addr("192.0.2.1") {
		t.Errorf("got %s, %v", a, ok)
	}
	if _, ok := (Claim{kind: "tunnel", number: 1}).Address(); ok {
		t.Error("a tunnel ID is an address")
	}
}

func TestDigestKeepsPartsApart(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "bc"}, {"ab", "c"}, {"abc"}, {"1:a"}, {"a1:b"}, {"a", "b"}} {
		d := digest(parts...)
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q look the same", parts, other)
		}
		seen[d] = parts
	}
}

func TestSetNoticesClaimsMadeTwice(t *testing.T) {
	var s Set
	s.AddID(TunnelIDs, 1)
	s.AddID(TunnelIDs, 2)
	if len(s.twice) > 0 {
		t.Errorf("got %v", s.twice)
	}
	s.AddID(TunnelIDs, 1)
	if len(s.twice) != 1 || s.twice[0].Number() != 1 || len(s.Sorted()) != 2 {
		t.Errorf("got %v of %v", s.twice, s.Sorted())
	}
}

func TestOwner(t *testing.T) {
	o := Owner{Ref: Ref{Resource: "loadbalancers", Namespace: "epic-a", Name: "b"}, UID: "c"}
	if got, err := parseOwner([]byte(o.String())); err != nil || got != o {
		t.Errorf("got %v, %v", got, err)
	}
	for _, v := range []string{"", "a/b/c", "a/b/c/d/e", "x"} {
		if o, err := parseOwner([]byte(v)); err == nil {
			t.Errorf("%q: got %v", v, o)
		}
	}
}

// TestRuns: the ranges of sorted claims cover exactly these claims.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := newLayout("/x")
	for range 200 {
		var in, out Set
		spaces := []Space{TunnelIDs, GroupIDs, ServiceIDs(testAccount)}
		for range r.IntN(40) {
			s, id := spaces[r.IntN(len(spaces))], int32(1+r.IntN(20))
			if r.IntN(3) > 0 {
				in.AddID(s, id)
			} else {
				out.AddID(s, id)
			}
		}
		for range r.IntN(3) {
			in.AddUnique("scope", string(rune('a'+r.IntN(26))))
			in.AddAddress(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(8))}))
			out.AddUnique("scope", "other")
		}
		covered := map[Claim]bool{}
		for _, run := range runs(in.Sorted()) {
			first, end := run.keyRange(l)
			for _, c := range run {
				covered[c] = true
				if k := l.claim(c); k < first || k >= end {
					t.Fatalf("%s is outside its run %s to %s", k, first, end)
				}
			}
			for _, c := range out.minus(&in) {
				if k := l.claim(c); k >= first && k < end {
					t.Fatalf("%s is in a run of others, %s to %s", k, first, end)
				}
			}
		}
		if len(covered) != len(in.Sorted()) {
			t.Fatalf("runs cover %d of %d claims", len(covered), len(in.Sorted()))
		}
	}
	var s Set
	for _, id := range []int32{9, 10, 11, 1, 2, 5} {
		s.AddID(TunnelIDs, id)
	}
	s.AddID(GroupIDs, 12)
	var lengths []int
	for _, run := range runs(s.Sorted()) {
		lengths = append(lengths, len(run))
	}
	if want := []int{1, 2, 1, 3}; !slices.Equal(lengths, want) {
		t.Errorf("runs of %v, want %v", lengths, want)
	}
}

func TestMinus(t *testing.T) {
	var a, b Set
	for id := int32(1); id <= 6; id++ {
		a.AddID(TunnelIDs, id)
	}
	for id := int32(4); id <= 9; id++ {
		b.AddID(TunnelIDs, id)
	}
	ids := func(cs []Claim) (out []uint64) {
		for _, c := range cs {
			out = append(out, c.Number())
		}
		return out
	}
	if got := ids(a.minus(&b)); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	if got := ids(b.minus(&a)); !slices.Equal(got, []uint64{7, 8, 9}) {
		t.Errorf("got %v", got)
	}
	if got := a.minus(&a); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}
