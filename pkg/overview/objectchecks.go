// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// readyCondition is the condition of every kind that summarizes the others.
const readyCondition = "Ready"

// checkConfiguration checks the configuration object.
func (i *Installation) checkConfiguration(c *checks) {
	const name = "configuration"
	s := i.Configuration
	if s == nil {
		return
	}
	switch object := s.Object; {
	case s.Unread != nil:
		c.unread(name, s.Unread)
	case object == nil:
		c.fail(name, "create it: kubectl apply -f artifacts/samples/10-epic.yaml", "EPIC object %s/%s does not exist, so no account can be created", epic.ConfigNamespace, epic.ConfigName)
	case object.DeletionTimestamp != nil:
		held := ""
		if len(object.Finalizers) > 0 {
			held = " (kept by the finalizer " + strings.Join(object.Finalizers, ", ") + ")"
		}
		c.warn(name, "", "EPIC %s/%s is being deleted%s", epic.ConfigNamespace, epic.ConfigName, held)
	default:
		if has := meta.FindStatusCondition(object.Status.Conditions, readyCondition); has != nil && has.Status != metav1.ConditionTrue {
			// The API still works: other checks of an installation without gateway nodes
			// are meaningful.
			c.warn(name, "kubectl describe -n epic epics.epic.acnodal.io epic", "EPIC %s/%s is not Ready: %s: %s", epic.ConfigNamespace, epic.ConfigName, has.Reason, has.Message)
			return
		}
		c.ok(name, "EPIC %s/%s exists; last tunnel ID %s, last group ID %s", epic.ConfigNamespace, epic.ConfigName,
			idOrNone(object.Status.CurrentTunnelID), idOrNone(object.Status.CurrentGroupID))
	}
}

// checkAddresses checks how full each pool is.
func (i *Installation) checkAddresses(c *checks) {
	const name = "addresses"
	a := i.Addresses
	switch {
	case a == nil:
		return
	case a.Unread != nil:
		c.unread(name, a.Unread)
		return
	case len(a.Prefixes) == 0:
		c.warn(name, "create a ServicePrefix in namespace epic, as in artifacts/samples/20-serviceprefix.yaml", "there is no ServicePrefix, so no load balancer can get an address")
		return
	}
	for _, p := range a.Prefixes {
		checkPool(c, name+" "+p.Name, p.Spec.PublicPool, a.Used)
		if p.Spec.AltPool != nil {
			checkPool(c, name+" "+p.Name+epic.AltPoolSuffix, p.Spec.AltPool, a.Used)
		}
	}
}

func checkPool(c *checks, name string, p *v1.AddressPool, used []netip.Addr) {
	if p == nil {
		c.warn(name, "set public-pool of the ServicePrefix", "there is no pool of public addresses")
		return
	}
	_, pool, err := addresspool.ParseAssignable(p.Pool, p.Subnet)
	if err != nil {
		c.fail(name, "correct the pool of the ServicePrefix", "%v", err)
		return
	}
	in := pool.InUse(used)
	percent := pool.Percent(in)
	detail := fmt.Sprintf("%d of %s in use, pool %s", in, pool.Size(), p.Pool)
	const fix = "make the pool larger, or create another ServicePrefix for new groups"
	switch {
	case percent >= full:
		c.warn(name, fix, "%s: it is full", detail)
	case percent >= addresspool.NearlyFullFrom:
		c.warn(name, fix, "%s: it is nearly full", detail)
	default:
		c.ok(name, "%s", detail)
	}
}

// full is the percentage in use of a pool without free addresses.
const full = 100

// checkClaims checks the result of the audit.
func (i *Installation) checkClaims(c *checks) {
	const name = "claims"
	switch a := i.Claims; {
	case a == nil:
	case a.Unread != nil:
		c.unread(name, a.Unread)
	case !a.Clean:
		c.fail(name, "\"epicctl audit\" lists them", "objects and claims differ in %s", count(a.Problems, "place", "places"))
	default:
		c.ok(name, "%s and %s agree", count(a.Objects, "object", "objects"), count(a.Claims, "claim", "claims"))
	}
}
