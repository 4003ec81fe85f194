// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// policyState is a BackendTLSPolicy with resolved references.
type policyState struct {
	policy             *gatewayv1.BackendTLSPolicy
	accepted, resolved verdict
	authorities        []string
}

// policyFor returns the policy for a port of a Service, preferring the more specific one,
// or nil if there is none.
func (p *publisher) policyFor(service *corev1.Service, port *corev1.ServicePort) *policyState {
	var whole *gatewayv1.BackendTLSPolicy
	for _, policy := range sorted(p.view.PoliciesOf(nameOf(service))) {
		if policy.DeletionTimestamp != nil {
			continue
		}
		for i := range policy.Spec.TargetRefs {
			target := &policy.Spec.TargetRefs[i]
			if !targets(target, service.Name) {
				continue
			}
			switch section := ptr.Deref(target.SectionName, ""); {
			case section != "" && string(section) == port.Name:
				return p.policyState(policy)
			case section == "" && whole == nil:
				whole = policy
			}
		}
	}
	if whole == nil {
		return nil
	}
	return p.policyState(whole)
}

// targets reports whether a target of a policy is the Service with a name.
func targets(t *gatewayv1.LocalPolicyTargetReferenceWithSectionName, service string) bool {
	return t.Group == "" && t.Kind == "Service" && string(t.Name) == service
}

// TargetsOf returns the distinct Services that a policy targets.
func TargetsOf(policy *gatewayv1.BackendTLSPolicy) []types.NamespacedName {
	var names []types.NamespacedName
	for i := range policy.Spec.TargetRefs {
		t := &policy.Spec.TargetRefs[i]
		name := types.NamespacedName{Namespace: policy.Namespace, Name: string(t.Name)}
		if targets(t, name.Name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// policyState resolves a policy's references.
func (p *publisher) policyState(policy *gatewayv1.BackendTLSPolicy) *policyState {
	s := &policyState{policy: policy}
	validation := &policy.Spec.Validation
	if known := ptr.Deref(validation.WellKnownCACertificates, ""); len(validation.CACertificateRefs) == 0 && known != gatewayv1.WellKnownCACertificatesSystem {
		s.accepted.refuse(string(gatewayv1.PolicyReasonInvalid),
			fmt.Sprintf("wellKnownCACertificates %q is not supported: use System, or set caCertificateRefs", known))
		return s
	}
	for _, ref := range validation.CACertificateRefs {
		name, problem := p.authority(string(ref.Group), string(ref.Kind), types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)},
			string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef), string(gatewayv1.BackendTLSPolicyReasonInvalidKind))
		if problem != nil {
			s.resolved.refuse(problem.reason, problem.message)
			continue
		}
		s.authorities = append(s.authorities, name)
	}
	if len(validation.CACertificateRefs) > 0 && len(s.authorities) == 0 {
		s.accepted.refuse(string(gatewayv1.BackendTLSPolicyReasonNoValidCACertificate), "none of its caCertificateRefs is valid: "+s.resolved.message)
	}
	return s
}

// Policy returns the statuses of a policy for the connector's Gateways that send requests
// to its targets.
func Policy(config *Config, view View, policy *gatewayv1.BackendTLSPolicy) []gatewayv1.PolicyAncestorStatus {
	p := newPublisher(config, view)
	ancestors := map[types.NamespacedName]bool{}
	for _, service := range TargetsOf(policy) {
		for _, route := range view.RoutesTo(service) {
			for _, a := range p.attachments(route) {
				if !a.accepted.no && permits(view, from{route.Kind, route.GetNamespace()}, object{"", "Service", service.Namespace, service.Name}) {
					ancestors[nameOf(a.gateway.gateway)] = true
				}
			}
		}
	}
	if len(ancestors) == 0 {
		return nil
	}
	state := p.policyState(policy)
	if v := p.placed(policy); v.no {
		// Its effects matter less than the fact that it has none.
		state.accepted = v
	}
	c := conditions{generation: policy.Generation}
	c.state(string(gatewayv1.PolicyConditionAccepted), state.accepted, string(gatewayv1.PolicyReasonAccepted), "requests to its targets use TLS")
	c.state(string(gatewayv1.BackendTLSPolicyConditionResolvedRefs), state.resolved, string(gatewayv1.BackendTLSPolicyReasonResolvedRefs), "all its references resolve")
	var statuses []gatewayv1.PolicyAncestorStatus
	for name := range ancestors {
		statuses = append(statuses, gatewayv1.PolicyAncestorStatus{
			AncestorRef: gatewayv1.ParentReference{
				Group: ptr.To[gatewayv1.Group](gatewayv1.GroupName), Kind: ptr.To(GatewayKind),
				Namespace: ptr.To(gatewayv1.Namespace(name.Namespace)), Name: gatewayv1.ObjectName(name.Name),
			},
			ControllerName: ControllerName,
			Conditions:     slices.Clone(c.list),
		})
	}
	slices.SortFunc(statuses, func(a, b gatewayv1.PolicyAncestorStatus) int {
		return cmp.Or(cmp.Compare(*a.AncestorRef.Namespace, *b.AncestorRef.Namespace), cmp.Compare(a.AncestorRef.Name, b.AncestorRef.Name))
	})
	return statuses
}

// placed reports whether a policy applies to all its targets: they exist, and no older
// policy has the same ones.
func (p *publisher) placed(policy *gatewayv1.BackendTLSPolicy) verdict {
	var v verdict
	for i := range policy.Spec.TargetRefs {
		target := &policy.Spec.TargetRefs[i]
		name := types.NamespacedName{Namespace: policy.Namespace, Name: string(target.Name)}
		service := p.view.Service(name)
		if !targets(target, name.Name) || service == nil {
			v.refuse(string(gatewayv1.PolicyReasonTargetNotFound), fmt.Sprintf("%s %s does not exist: change targetRefs[%d]", target.Kind, name, i))
			continue
		}
		section := ptr.Deref(target.SectionName, "")
		if section != "" && !slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return port.Name == string(section) }) {
			v.refuse(string(gatewayv1.PolicyReasonTargetNotFound), fmt.Sprintf("the Service %s has no port named %s: change targetRefs[%d].sectionName", name, section, i))
			continue
		}
		for _, other := range p.view.PoliciesOf(name) {
			if other.DeletionTimestamp == nil && other.Name != policy.Name && compareAge(other, policy) < 0 && sameTarget(other, target) {
				v.refuse(string(gatewayv1.PolicyReasonConflicted), fmt.Sprintf("the older BackendTLSPolicy %s has the same target: merge the two, or change targetRefs[%d]", nameOf(other), i))
			}
		}
	}
	return v
}

func sameTarget(policy *gatewayv1.BackendTLSPolicy, target *gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
	return slices.ContainsFunc(policy.Spec.TargetRefs, func(t gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
		return targets(&t, string(target.Name)) && ptr.Deref(t.SectionName, "") == ptr.Deref(target.SectionName, "")
	})
}
