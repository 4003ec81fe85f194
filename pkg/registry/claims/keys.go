// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/acnodal/epic/pkg/addresspool"
)

// SchemaVersion is the version of the key layout below. Servers compare it in every
// transaction, so two versions can never write at the same time. Change it whenever the
// claims of an object or the format of a claim's key change.
const SchemaVersion = "1"

// layout returns the keys of claims under one etcd prefix. None of them is under a
// resource's prefix, because no resource name starts with a dot.
type layout struct {
	root string // ends in a slash
}

func newLayout(etcdPrefix string) layout {
	return layout{root: path.Join("/", etcdPrefix, ".claims") + "/"}
}

// schema returns the key that holds SchemaVersion.
func (l layout) schema() string { return l.root + "schema" }

// claims returns the prefix of all claims.
func (l layout) claims() string { return l.root + "v" + SchemaVersion + "/" }

// claim returns the key of one claim.
func (l layout) claim(c Claim) string { return l.claims() + c.path() }

// cursor returns the key that holds the next position of a space to be reserved.
func (l layout) cursor(s Space) string { return l.root + "cursor/" + s.name }

// coolingFolder is the prefix of the keys of addresses that are cooling down.
const coolingFolder = "cooling/"

// cooling returns the key of an address that is cooling down.
func (l layout) cooling(address Claim) string { return l.root + coolingFolder + address.name }

// restored returns the key that describes what the last restore of a snapshot left.
func (l layout) restored() string { return l.root + "restored" }

// last returns the key of the number of a space that was assigned most recently.
func (l layout) last(s Space) string { return l.root + "last/" + s.name }

// Ref identifies one object of this API group.
type Ref struct {
	// Resource is the plural resource name, such as "accounts".
	Resource string
	// Namespace and Name identify the object.
	Namespace, Name string
}

func (r Ref) String() string { return r.Resource + "/" + r.Namespace + "/" + r.Name }

// digest hashes names for use in keys: keys appear in metrics, logs and listings of
// backups, which must not contain a tenant's names.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length distinguishes ("a", "bc") from ("ab", "c").
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// addressKey formats an address so that keys sort like addresses.
func addressKey(a netip.Addr) string {
	b := a.As16()
	return hex.EncodeToString(b[:])
}

func parseAddressKey(s string) (netip.Addr, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return netip.Addr{}, fmt.Errorf("claim key %q is not an address", s)
	}
	return netip.AddrFrom16([16]byte(b)).Unmap(), nil
}

// poolKey formats a pool for the key of its claim.
func poolKey(p addresspool.Pool) string { return addressKey(p.From()) + "-" + addressKey(p.To()) }

func parsePoolKey(s string) (addresspool.Pool, error) {
	first, last, _ := strings.Cut(s, "-")
	from, err := parseAddressKey(first)
	if err != nil {
		return addresspool.Pool{}, err
	}
	to, err := parseAddressKey(last)
	if err != nil {
		return addresspool.Pool{}, err
	}
	return addresspool.Between(from, to), nil
}

// Owner is the value of a claim: the object that holds it.
type Owner struct {
	Ref
	// UID distinguishes this object from a later one of the same name.
	UID string
}

func (o Owner) String() string { return o.Ref.String() + "/" + o.UID }

func parseOwner(v []byte) (Owner, error) {
	f := strings.Split(string(v), "/")
	if len(f) != 4 {
		return Owner{}, fmt.Errorf("claim value %q names no owner", v)
	}
	return Owner{Ref: Ref{Resource: f[0], Namespace: f[1], Name: f[2]}, UID: f[3]}, nil
}
