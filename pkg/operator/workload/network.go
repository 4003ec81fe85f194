// SPDX-License-Identifier: Apache-2.0

package workload

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const dnsPort = 53

// NetworkPolicy returns a policy for a proxy's pods on the cluster's network. They may
// reach the operator, DNS, and a collector of traces in the namespaces that the platform
// team marks; the operator's namespace and the marked ones may read their metrics. The
// public interface is not part of that network.
func (f *Platform) NetworkPolicy(p *Proxy) *networkingv1.NetworkPolicy {
	marked := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{epic.MonitoringLabel: "true"}}}
	operators := networkingv1.NetworkPolicyPeer{
		NamespaceSelector: inNamespace(f.OperatorNamespace),
		PodSelector:       &metav1.LabelSelector{MatchLabels: f.OperatorLabels},
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: p.meta(),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: p.Labels()},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{
					From: []networkingv1.NetworkPolicyPeer{
						{NamespaceSelector: inNamespace(f.OperatorNamespace)},
						marked,
					},
					Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, HealthPort)},
				},
				{From: []networkingv1.NetworkPolicyPeer{operators}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, ConfigPort)}},
			},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{operators}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, f.OperatorPort)}},
				{
					To:    []networkingv1.NetworkPolicyPeer{{NamespaceSelector: inNamespace(metav1.NamespaceSystem)}},
					Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, dnsPort), port(corev1.ProtocolTCP, dnsPort)},
				},
				{To: []networkingv1.NetworkPolicyPeer{marked}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, epic.TracePort)}},
			},
		},
	}
}

func inNamespace(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
}

func port(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: ptr.To(protocol), Port: ptr.To(intstr.FromInt32(number))}
}
