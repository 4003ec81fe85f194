// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// withoutController describes the effects if no controller runs.
const withoutController = "nothing sets conditions, so READY stays \"-\", and no tunnel is created"

// checkController checks the lease that the leading controller renews or, without leases,
// what a controller sets.
func (i *Installation) checkController(c *checks) {
	const (
		name = "controller"
		fix  = "check the controller's pods and their logs"
	)
	l := i.Lease
	switch {
	case l == nil && i.service() == nil && i.Configuration != nil:
		i.checkControllersWork(c, name)
		return
	case l == nil:
		return
	case l.Absent:
		c.warn(name, "install it with the rest of EPIC, see docs/install.md", "not installed: %s", withoutController)
		return
	case l.Unread != nil:
		c.unread(name, l.Unread)
		return
	case l.Holder == "" || l.Renewed == nil:
		c.fail(name, fix, "no controller leads")
		return
	}
	if since := i.Now.Sub(l.Renewed.Time); since > l.Duration.Duration {
		c.fail(name, fix, "%s was the leader, and has not renewed the Lease for %s", l.Holder, duration.HumanDuration(since))
		return
	}
	c.ok(name, "%s leads", l.Holder)
}

// checkControllersWork checks the conditions of the configuration, which a running
// controller sets.
func (i *Installation) checkControllersWork(c *checks, name string) {
	object := i.epic()
	if object == nil {
		c.ok(name, "unknown: it can't be determined without the EPIC object")
		return
	}
	const fix = "start one: epic-controller --kubeconfig=FILE --leader-elect=false"
	switch has := meta.FindStatusCondition(object.Status.Conditions, readyCondition); {
	case has == nil:
		c.warn(name, fix, "no controller is running: %s", withoutController)
	case has.ObservedGeneration < object.Generation:
		c.warn(name, fix, "the controller has not reacted to the last change of EPIC %s/%s", object.Namespace, object.Name)
	default:
		c.ok(name, "it sets conditions")
	}
}

// Envoys is the operator's report on all load balancers and gateway proxies.
type Envoys struct {
	Objects  int   `json:"objects"`
	Reported int   `json:"reported"`
	Desired  int32 `json:"desired"`
	Ready    int32 `json:"ready"`
	// Behind lists the first objects whose Envoys do not have the newest configuration,
	// and MoreBehind is the number of the others.
	Behind     []string `json:"behind,omitempty"`
	MoreBehind int      `json:"moreBehind,omitempty"`
	Unread     *Unread  `json:"unread,omitempty"`
}

// programmedCondition is the operator's condition for whether Envoys have the newest
// configuration.
const programmedCondition = "Programmed"

// shownBehind is the maximum number of objects that are named.
const shownBehind = 3

// Add counts the Envoys of an object.
func (e *Envoys) Add(kind, namespace, name string, status *v1.ProxyStatus) {
	e.Objects++
	if status.Envoy == nil {
		return
	}
	e.Reported++
	e.Desired += status.Envoy.Replicas
	e.Ready += status.Envoy.ReadyReplicas
	has := meta.FindStatusCondition(status.Conditions, programmedCondition)
	switch {
	case has == nil || has.Status == metav1.ConditionTrue:
	case len(e.Behind) < shownBehind:
		e.Behind = append(e.Behind, fmt.Sprintf("%s %s/%s: %s: %s", kind, namespace, name, has.Reason, has.Message))
	default:
		e.MoreBehind++
	}
}

// checkEnvoys reports how many Envoys are ready, and which objects they do not serve.
func (i *Installation) checkEnvoys(c *checks) {
	const name = "Envoys"
	e := i.Envoys
	switch {
	case e == nil:
	case e.Unread != nil:
		c.unread(name, e.Unread)
	case e.Objects == 0:
		c.ok(name, "no load balancer or gateway proxy needs one")
	case e.Reported == 0:
		c.warn(name, "start the operator, see docs/operator.md", "no operator has reported an Envoy: nothing starts Envoy for %s", count(e.Objects, "object", "objects"))
	case len(e.Behind) > 0:
		detail := fmt.Sprintf("%d of %d are ready; not fully served: %s", e.Ready, e.Desired, strings.Join(e.Behind, "; "))
		if e.MoreBehind > 0 {
			detail += fmt.Sprintf("; and %d more", e.MoreBehind)
		}
		c.warn(name, "\"kubectl get lb,gwp -A\" lists all; docs/operator.md explains the reasons", "%s", detail)
	case e.Ready < e.Desired:
		c.warn(name, "\"kubectl get lb,gwp -A\" lists all", "%d of %d are ready, and each object is served", e.Ready, e.Desired)
	default:
		c.ok(name, "%d of %d are ready, for %s", e.Ready, e.Desired, count(e.Objects, "object", "objects"))
	}
}
