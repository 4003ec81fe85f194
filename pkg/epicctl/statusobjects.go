// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// checkEPIC looks at the one configuration object.
func (s *status) checkEPIC(ctx context.Context) {
	const check = "configuration"
	object, err := s.epicClient.EpicV1().EPICs(epic.ConfigNamespace).Get(ctx, epic.ConfigName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		s.fail(check, "create it: kubectl apply -f artifacts/samples/10-epic.yaml", "there is no EPIC object %s/%s, without which no account can be made", epic.ConfigNamespace, epic.ConfigName)
	case err != nil:
		s.failed(check, right{"get", "epics." + v1.GroupName, epic.ConfigNamespace}, err)
	case object.DeletionTimestamp != nil:
		s.warn(check, "", "EPIC %s/%s is being deleted%s", epic.ConfigNamespace, epic.ConfigName, heldBy(object))
	default:
		s.epic = object
		if c := meta.FindStatusCondition(object.Status.Conditions, readyCondition); c != nil && c.Status != metav1.ConditionTrue {
			// The API works all the same: an installation without gateway nodes is
			// one to go on with.
			s.warn(check, "kubectl describe -n epic epics.epic.acnodal.io epic", "EPIC %s/%s is not Ready: %s: %s", epic.ConfigNamespace, epic.ConfigName, c.Reason, c.Message)
			return
		}
		s.ok(check, "EPIC %s/%s is there; last tunnel ID %s, last group ID %s", epic.ConfigNamespace, epic.ConfigName,
			idOrNone(object.Status.CurrentTunnelID), idOrNone(object.Status.CurrentGroupID))
	}
}

// checkPrefixes says how full each pool is.
func (s *status) checkPrefixes(ctx context.Context) {
	const check = "addresses"
	client := s.epicClient.EpicV1()
	prefixes, err := all(ctx, collection[*v1.ServicePrefix](epic.ResourceServicePrefixes, epic.ConfigNamespace, client.ServicePrefixes(epic.ConfigNamespace).List))
	if err != nil {
		s.failed(check, right{"list", "serviceprefixes." + v1.GroupName, epic.ConfigNamespace}, err)
		return
	}
	if len(prefixes) == 0 {
		s.warn(check, "create a ServicePrefix in namespace epic; artifacts/samples/20-serviceprefix.yaml is one", "there is no ServicePrefix, so no load balancer can get an address")
		return
	}
	var used []netip.Addr
	add := func(texts ...string) {
		for _, text := range texts {
			if a, err := netip.ParseAddr(text); err == nil {
				used = append(used, a)
			}
		}
	}
	err = each(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, "", client.LoadBalancers("").List), func(o *v1.LoadBalancer) error {
		add(o.Spec.PublicAddress)
		return nil
	})
	if err != nil {
		s.failed(check, right{"list", "loadbalancers." + v1.GroupName, ""}, err)
		return
	}
	err = each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, "", client.GWProxies("").List), func(o *v1.GWProxy) error {
		add(o.Spec.PublicAddress, o.Spec.AltAddress)
		return nil
	})
	if err != nil {
		s.failed(check, right{"list", "gwproxies." + v1.GroupName, ""}, err)
		return
	}
	for _, p := range prefixes {
		s.checkPool(check+" "+p.Name, p.Spec.PublicPool, used)
		if p.Spec.AltPool != nil {
			s.checkPool(check+" "+p.Name+epic.AltPoolSuffix, p.Spec.AltPool, used)
		}
	}
}

func (s *status) checkPool(check string, p *v1.AddressPool, used []netip.Addr) {
	if p == nil {
		s.warn(check, "give the ServicePrefix a public-pool", "there is no pool of public addresses")
		return
	}
	_, pool, err := addresspool.ParseAssignable(p.Pool, p.Subnet)
	if err != nil {
		s.fail(check, "correct the pool of the ServicePrefix", "%v", err)
		return
	}
	in := pool.InUse(used)
	percent := pool.Percent(in)
	detail := fmt.Sprintf("%d of %s in use, pool %s", in, pool.Size(), p.Pool)
	const wayOut = "make the pool larger, or make another ServicePrefix for new groups"
	switch {
	case percent >= 100:
		s.warn(check, wayOut, "%s: it is full", detail)
	case percent >= addresspool.NearlyFullFrom:
		s.warn(check, wayOut, "%s: it is nearly full", detail)
	default:
		s.ok(check, "%s", detail)
	}
}

// checkClaims runs the audit.
func (s *status) checkClaims(ctx context.Context) {
	const check = "claims"
	report, err := s.epicClient.EpicV1().EPICs(epic.ConfigNamespace).Audit(ctx, epic.ConfigName, metav1.GetOptions{})
	switch {
	case err != nil:
		s.failed(check, right{"get", "epics/audit." + v1.GroupName, epic.ConfigNamespace}, err)
	case !report.Clean:
		s.fail(check, "\"epicctl audit\" lists them", "objects and claims differ in %s", count(len(report.Problems), "place", "places"))
	default:
		s.ok(check, "%s and %s agree", count(int(report.Objects), "object", "objects"), count(int(report.Claims), "claim", "claims"))
	}
}
