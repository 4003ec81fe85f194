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
	"github.com/acnodal/epic/pkg/edge"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// readOffered reads the groups that the platform team offers and that proxies of the
// account use. It skips those that can't be read.
func (inv *inventory) readOffered(ctx context.Context, client versioned.Interface) {
	inv.offered = map[string]*v1.LBServiceGroup{}
	for i := range inv.proxies {
		p := &inv.proxies[i]
		if _, known := inv.offered[p.group]; known || p.groupNamespace != epic.ConfigNamespace {
			continue
		}
		if g, err := client.EpicV1().LBServiceGroups(epic.ConfigNamespace).Get(ctx, p.group, metav1.GetOptions{}); err == nil {
			inv.offered[p.group] = g
		}
	}
}

// groupOf returns the group of a proxy, or nil if it is not known.
func (inv *inventory) groupOf(p *proxy) *v1.LBServiceGroup {
	if p.groupNamespace == epic.ConfigNamespace {
		return inv.offered[p.group]
	}
	for _, g := range inv.groups {
		if g.Name == p.group {
			return g
		}
	}
	return nil
}

// edgeRows returns rows for the effective edge settings of proxies that differ from the
// defaults.
func (inv *inventory) edgeRows() (rows [][]string) {
	for i := range inv.proxies {
		p := &inv.proxies[i]
		group := inv.groupOf(p)
		if group == nil {
			continue
		}
		settings, refused := edge.Of(group, p.edge)
		texts := settings.Describe()
		for _, r := range refused {
			texts = append(texts, "refused: "+r.Field)
		}
		for _, text := range texts {
			rows = append(rows, []string{p.kind, p.name, text})
		}
	}
	return rows
}

// listenerRows returns rows for the listeners of Envoys, and the listeners of Gateways.
func (inv *inventory) listenerRows() (rows [][]string) {
	for i := range inv.proxies {
		p := &inv.proxies[i]
		if p.kind == "GWProxy" {
			for j := range p.status.Listeners {
				l := &p.status.Listeners[j]
				programmed := ""
				if c := meta.FindStatusCondition(l.Conditions, "Programmed"); c != nil {
					programmed = string(c.Status)
				}
				row := []string{p.kind, p.name, l.Name, fmt.Sprint(l.AttachedRoutes), programmed, "", ""}
				if c := trouble(l.Conditions); c != nil {
					row[5], row[6] = c.Type+" "+c.Reason, c.Message
				}
				rows = append(rows, row)
			}
			continue
		}
		if p.status.Envoy == nil {
			continue
		}
		for _, l := range p.status.Envoy.Listeners {
			rows = append(rows, []string{p.kind, p.name, l.Name, "", fmt.Sprintf("%d/%d", l.ProgrammedReplicas, p.status.Envoy.Replicas), "", ""})
		}
	}
	return rows
}

// trouble returns the condition of a listener, or of a route at its parent, that reports
// a problem, or nil if there is none. The first is usually the cause of the others.
func trouble(all []metav1.Condition) *metav1.Condition {
	for _, t := range []struct {
		name string
		good metav1.ConditionStatus
	}{
		{"Accepted", metav1.ConditionTrue},
		{"ResolvedRefs", metav1.ConditionTrue},
		{"Conflicted", metav1.ConditionFalse},
		{"PartiallyInvalid", metav1.ConditionFalse},
		{"Programmed", metav1.ConditionTrue},
	} {
		if c := meta.FindStatusCondition(all, t.name); c != nil && c.Status != t.good {
			return c
		}
	}
	return nil
}

// routeTroubles returns the conditions of a route that report a problem: those at each
// parent, otherwise its own.
func routeTroubles(route *v1.GWRoute) (at []string, conditions []*metav1.Condition) {
	add := func(place string, c *metav1.Condition) {
		at, conditions = append(at, place), append(conditions, c)
	}
	for i := range route.Status.Parents {
		p := &route.Status.Parents[i]
		if c := trouble(p.Conditions); c != nil {
			add(strings.TrimSuffix(p.ParentRef.Name+"/"+p.ParentRef.SectionName, "/"), c)
		}
	}
	if len(conditions) > 0 {
		return at, conditions
	}
	for i := range route.Status.Conditions {
		if c := &route.Status.Conditions[i]; c.Status == metav1.ConditionFalse && c.Type != readyCondition {
			add("", c)
		}
	}
	if c := meta.FindStatusCondition(route.Status.Conditions, readyCondition); len(conditions) == 0 && c != nil && c.Status == metav1.ConditionFalse {
		add("", c)
	}
	return at, conditions
}
