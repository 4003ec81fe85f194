// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/endpoints"
)

const (
	// shownProblems is the maximum number of problems in a message.
	shownProblems = 5
	// maxProblem is the maximum length of a problem, in characters: it contains text from
	// tenants.
	maxProblem = 500
	// maxMessage is the maximum length of a message: the API accepts 32768 bytes.
	maxMessage = 4000
)

// setConditions sets the conditions that report what exists and what is missing.
func (p *plan) setConditions(s *state, tenantNodes []netip.Addr, epicNodes int) {
	tunnels := p.tunnelsReady(s, len(tenantNodes), epicNodes)
	p.reason = tunnels.Reason
	if s.meta.DeletionTimestamp != nil {
		return
	}
	all := proxyReady(s, epicNodes, tunnels, endpointsResolved(s, len(tenantNodes)))
	used := &links{}
	if !s.direct {
		used = linksTo(tenantNodes, s.tunnels, &p.status)
	}
	all = withLinks(all, used, s.endpoints, s.status.Conditions)
	for _, c := range withEnvoy(withParts(all, s.listeners, s.status.Conditions), s.status.Conditions) {
		c.ObservedGeneration = s.meta.Generation
		meta.SetStatusCondition(&p.status.Conditions, c)
	}
}

// proxyReady adds the condition Ready. Without a public port nothing is served, and even
// a load balancer without tunnels needs a proxy.
func proxyReady(s *state, epicNodes int, tunnels, resolved metav1.Condition) []metav1.Condition {
	all := withReady(tunnels, resolved)
	switch {
	case s.portless:
		all[len(all)-1] = condition(ConditionReady, false, ReasonNoPorts, "spec.public-ports is empty, so nothing is served on the public address: add a port")
	case s.direct && epicNodes == 0:
		all[len(all)-1] = condition(ConditionReady, false, ReasonNoProxies, noProxiesYet)
	}
	return all
}

// withEnvoy makes Ready, the last condition, repeat the operator's condition Programmed
// if that is false. Without an operator, the condition does not exist.
func withEnvoy(all, has []metav1.Condition) []metav1.Condition {
	if c := meta.FindStatusCondition(has, ConditionProgrammed); c != nil && c.Status == metav1.ConditionFalse && isReady(all) {
		all[len(all)-1] = condition(ConditionReady, false, c.Reason, "%s", c.Message)
	}
	return all
}

func (p *plan) tunnelsReady(s *state, tenantNodes, epicNodes int) metav1.Condition {
	c := metav1.Condition{Type: ConditionTunnelsReady, Status: metav1.ConditionFalse}
	switch {
	case s.direct:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonNotNeeded, "true-ingress is false, so requests do not use tunnels"
	case len(s.endpoints) == 0:
		c.Reason, c.Message = ReasonNoEndpoints, "No endpoint is ready"
	case tenantNodes == 0:
		c.Reason, c.Message = ReasonNoNodes, fmt.Sprintf("None of %s is on a node whose address is known", count(len(s.endpoints), "endpoint"))
	case epicNodes == 0:
		c.Reason, c.Message = ReasonNoProxies, noProxiesYet
	case p.wanted > epic.MaxTunnelsPerObject:
		c.Reason, c.Message = ReasonTooManyTunnels, fmt.Sprintf(
			"%d tunnels are needed between %s and %s, but an object may have %d: run proxies on fewer gateway nodes, or divide the endpoints among several objects",
			p.wanted, count(tenantNodes, "node"), count(epicNodes, "gateway node"), epic.MaxTunnelsPerObject)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonAssigned,
			fmt.Sprintf("%s between %s and %s", count(p.wanted, "tunnel"), count(tenantNodes, "node"), count(epicNodes, "gateway node"))
	}
	return c
}

const noProxiesYet = "No proxy runs on a gateway node yet"

func endpointsResolved(s *state, tenantNodes int) metav1.Condition {
	c := metav1.Condition{Type: ConditionEndpointsResolved, Status: metav1.ConditionFalse}
	switch {
	case len(s.problems) > 0:
		c.Reason, c.Message = s.problems[0].Reason, tellProblems(s.problems)
	case len(s.endpoints) == 0:
		c.Reason, c.Message = ReasonNoEndpoints, "No endpoint is ready"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonResolved, count(len(s.endpoints), "endpoint")
		if tenantNodes > 0 {
			c.Message += " on " + count(tenantNodes, "node")
		}
	}
	return c
}

// parts describes which parts of an object, such as a Gateway's listeners, can be used.
type parts struct {
	// condition is the type of the condition that reports them.
	condition string
	usable    int
	skipped   []endpoints.Problem
}

// withParts inserts the condition for an object's parts before Ready, the last of its
// conditions. The object works without the parts that are skipped, so Ready is false only
// if none is left. An object whose parts were never skipped has no such condition.
func withParts(all []metav1.Condition, p parts, has []metav1.Condition) []metav1.Condition {
	if p.condition == "" || len(p.skipped) == 0 && meta.FindStatusCondition(has, p.condition) == nil {
		return all
	}
	c := condition(p.condition, true, ReasonUsable, "Nothing is skipped")
	if len(p.skipped) > 0 {
		c = condition(p.condition, false, p.skipped[0].Reason, "%s", tellProblems(p.skipped))
	}
	if ready := len(all) - 1; len(p.skipped) > 0 && p.usable == 0 && isReady(all) {
		all[ready] = condition(ConditionReady, false, c.Reason, "%s", c.Message)
	}
	return slices.Insert(all, len(all)-1, c)
}

// tellProblems returns the first problems as one message.
func tellProblems(problems []endpoints.Problem) string {
	told := make([]string, 0, len(problems))
	for _, problem := range problems {
		told = append(told, shorten(problem.String(), maxProblem))
	}
	return tell(told)
}

// tell returns the first of several texts as one message.
func tell(things []string) string {
	if len(things) > shownProblems {
		things = append(slices.Clone(things[:shownProblems]), fmt.Sprintf("and %d more", len(things)-shownProblems))
	}
	return strings.Join(things, "; ")
}

// count returns a number with its noun.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// shorten truncates a text that is too long.
func shorten(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
