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

// SchemaVersion names the layout of the keys below. Servers compare it in every
// transaction, so two versions can never write side by side. Whoever
// changes what an object claims or how a claim's key looks changes it too.
const SchemaVersion = "1"

// layout gives the keys that the claims of one etcd prefix have. None of them
// lies under a resource's prefix, because no resource's name starts with a dot.
type layout struct {
	root string // ends in a slash
}

func newLayout(etcdPrefix string) layout {
	return layout{root: path.Join("/", etcdPrefix, ".claims") + "/"}
}

// schema holds SchemaVersion.
func (l layout) schema() string { return l.root + "schema" }

// claims is the folder of all claims.
func (l layout) claims() string { return l.root + "v" + SchemaVersion + "/" }

// claim is the key of one claim.
func (l layout) claim(c Claim) string { return l.claims() + c.path() }

// cursor is where the next number of a space will be reserved from.
func (l layout) cursor(s Space) string { return l.root + "cursor/" + s.name }

// coolingFolder holds a key for each address that cools down.
const coolingFolder = "cooling/"

// cooling is the key of an address that cools down.
func (l layout) cooling(address Claim) string { return l.root + coolingFolder + address.name }

// restored describes what the last restore of a snapshot left.
func (l layout) restored() string { return l.root + "restored" }

// last holds the number of a space that was assigned most recently.
func (l layout) last(s Space) string { return l.root + "last/" + s.name }

// Ref names one object of this API group.
type Ref struct {
	// Resource is the plural, such as "accounts".
	Resource string
	// Namespace and Name are the object's.
	Namespace, Name string
}

func (r Ref) String() string { return r.Resource + "/" + r.Namespace + "/" + r.Name }

// digest stands for names in keys: keys appear in metrics, logs and backups'
// listings, where a tenant's name does not belong.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length keeps ("a", "bc") and ("ab", "c") apart.
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// addressKey writes an address so that keys sort as addresses do.
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

// poolKey writes a pool as its claim's key has it.
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
