// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// The conditions that the controller sets. It leaves others alone.
const (
	// ConditionTunnelsReady is whether every tunnel that is needed has its ID.
	ConditionTunnelsReady = "TunnelsReady"
	// ConditionEndpointsResolved is whether everything that should lead to an
	// endpoint does. Its reasons are those of package endpoints, and those below.
	ConditionEndpointsResolved = "EndpointsResolved"
)

// The reasons of the conditions.
const (
	// ReasonAssigned goes with TunnelsReady when it is true.
	ReasonAssigned = "Assigned"
	// ReasonNotNeeded goes with TunnelsReady, true, of a load balancer that wants
	// no tunnels.
	ReasonNotNeeded = "NotNeeded"
	// ReasonNoEndpoints is that no endpoint is ready.
	ReasonNoEndpoints = "NoEndpoints"
	// ReasonNoNodes is that no endpoint is on a node whose address is known.
	ReasonNoNodes = "NoNodes"
	// ReasonNoProxies is that no proxy runs on a gateway node yet.
	ReasonNoProxies = "NoProxies"
	// ReasonTooManyTunnels is that more tunnels are needed than one object may
	// have.
	ReasonTooManyTunnels = "TooManyTunnels"
	// ReasonResolved goes with EndpointsResolved when it is true.
	ReasonResolved = "Resolved"
)

const (
	// shownProblems is how many problems a message tells.
	shownProblems = 5
	// maxProblem is how long one of them may be, in characters: tenants' text is
	// in it.
	maxProblem = 500
)

// setConditions says what is there and what is missing.
func (p *plan) setConditions(s *state, tenantNodes, epicNodes int) {
	tunnels := p.tunnelsReady(s, tenantNodes, epicNodes)
	p.reason = tunnels.Reason
	if s.meta.DeletionTimestamp != nil {
		return
	}
	for _, c := range []metav1.Condition{tunnels, endpointsResolved(s, tenantNodes)} {
		c.ObservedGeneration = s.meta.Generation
		meta.SetStatusCondition(&p.status.Conditions, c)
	}
}

func (p *plan) tunnelsReady(s *state, tenantNodes, epicNodes int) metav1.Condition {
	c := metav1.Condition{Type: ConditionTunnelsReady, Status: metav1.ConditionFalse}
	switch {
	case s.direct:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonNotNeeded, "true-ingress is false: requests travel without tunnels"
	case len(s.endpoints) == 0:
		c.Reason, c.Message = ReasonNoEndpoints, "No endpoint is ready"
	case tenantNodes == 0:
		c.Reason, c.Message = ReasonNoNodes, fmt.Sprintf("None of %s is on a node whose address is known", count(len(s.endpoints), "endpoint"))
	case epicNodes == 0:
		c.Reason, c.Message = ReasonNoProxies, "No proxy runs on a gateway node yet"
	case p.wanted > epic.MaxTunnelsPerObject:
		c.Reason, c.Message = ReasonTooManyTunnels, fmt.Sprintf(
			"%d tunnels are needed between %s and %s, and one object may have %d: run proxies on fewer gateway nodes, or divide the endpoints among several objects",
			p.wanted, count(tenantNodes, "node"), count(epicNodes, "gateway node"), epic.MaxTunnelsPerObject)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonAssigned,
			fmt.Sprintf("%s between %s and %s", count(p.wanted, "tunnel"), count(tenantNodes, "node"), count(epicNodes, "gateway node"))
	}
	return c
}

func endpointsResolved(s *state, tenantNodes int) metav1.Condition {
	c := metav1.Condition{Type: ConditionEndpointsResolved, Status: metav1.ConditionFalse}
	switch {
	case len(s.problems) > 0:
		c.Reason = s.problems[0].Reason
		var told []string
		for i, problem := range s.problems {
			if i == shownProblems {
				told = append(told, fmt.Sprintf("and %d more", len(s.problems)-i))
				break
			}
			told = append(told, shorten(problem.String()))
		}
		c.Message = strings.Join(told, "; ")
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

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// shorten cuts what is too long to be read.
func shorten(s string) string {
	if runes := []rune(s); len(runes) > maxProblem {
		return string(runes[:maxProblem]) + "…"
	}
	return s
}
