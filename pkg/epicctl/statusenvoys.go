// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// envoys is what the operator reports of all load balancers and gateway proxies.
type envoys struct {
	objects, reported int
	desired, ready    int32
	// behind are the objects whose Envoys do not have the newest configuration, the first
	// of them.
	behind []string
	more   int
}

// programmedCondition is the operator's condition on whether Envoys have the newest
// configuration.
const programmedCondition = "Programmed"

// shownBehind is how many of them are named.
const shownBehind = 3

func (e *envoys) add(kind, namespace, name string, status *v1.ProxyStatus) {
	e.objects++
	if status.Envoy == nil {
		return
	}
	e.reported++
	e.desired += status.Envoy.Replicas
	e.ready += status.Envoy.ReadyReplicas
	c := meta.FindStatusCondition(status.Conditions, programmedCondition)
	switch {
	case c == nil || c.Status == metav1.ConditionTrue:
	case len(e.behind) < shownBehind:
		e.behind = append(e.behind, fmt.Sprintf("%s %s/%s: %s: %s", kind, namespace, name, c.Reason, c.Message))
	default:
		e.more++
	}
}

// checkEnvoys says how many Envoys are ready, and which objects they do not serve.
func (s *status) checkEnvoys(ctx context.Context) {
	const check = "Envoys"
	var e envoys
	client := s.epicClient.EpicV1()
	err := each(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, "", client.LoadBalancers("").List), func(o *v1.LoadBalancer) error {
		e.add("LoadBalancer", o.Namespace, o.Name, &o.Status)
		return nil
	})
	if err != nil {
		s.failed(check, right{"list", "loadbalancers." + v1.GroupName, ""}, err)
		return
	}
	err = each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, "", client.GWProxies("").List), func(o *v1.GWProxy) error {
		e.add("GWProxy", o.Namespace, o.Name, &o.Status)
		return nil
	})
	if err != nil {
		s.failed(check, right{"list", "gwproxies." + v1.GroupName, ""}, err)
		return
	}
	e.judge(s, check)
}

func (e *envoys) judge(s *status, check string) {
	switch {
	case e.objects == 0:
		s.ok(check, "no load balancer or gateway proxy needs one")
	case e.reported == 0:
		s.warn(check, "start the operator, see docs/operator.md", "no operator has reported any: nothing starts Envoy for %s", count(e.objects, "object", "objects"))
	case len(e.behind) > 0:
		detail := fmt.Sprintf("%d of %d are ready; not served as asked: %s", e.ready, e.desired, strings.Join(e.behind, "; "))
		if e.more > 0 {
			detail += fmt.Sprintf("; and %d more", e.more)
		}
		s.warn(check, "\"kubectl get lb,gwp -A\" lists all; docs/operator.md explains the reasons", "%s", detail)
	case e.ready < e.desired:
		s.warn(check, "\"kubectl get lb,gwp -A\" lists all", "%d of %d are ready, and each object is served", e.ready, e.desired)
	default:
		s.ok(check, "%d of %d are ready, for %s", e.ready, e.desired, count(e.objects, "object", "objects"))
	}
}
