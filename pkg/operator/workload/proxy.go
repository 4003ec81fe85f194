// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Kind is the kind of an object that Envoys run for.
type Kind string

// Kinds of objects that Envoys run for.
const (
	LoadBalancer Kind = "LoadBalancer"
	GWProxy      Kind = "GWProxy"
)

// Proxy describes what has to run for one load balancer or gateway proxy, regardless of
// how it runs.
type Proxy struct {
	Kind            Kind
	Namespace, Name string
	UID             types.UID
	Generation      int64
	// Account is the account that owns the namespace.
	Account string
	// Replicas is the number of Envoys to run.
	Replicas int32
	// Image is the Envoy image; empty for the operator's own.
	Image string
	// Address and AltAddress are the public addresses of the object.
	Address, AltAddress string
	// Prefix is the name of the service prefix from which the addresses come.
	Prefix string
}

// OfLoadBalancer returns what has to run for a load balancer. Group and config may be nil
// if they are not known.
func OfLoadBalancer(lb *epicv1.LoadBalancer, group *epicv1.LBServiceGroup, config *epicv1.EPIC) Proxy {
	p := of(LoadBalancer, &lb.ObjectMeta, lb.Spec.EnvoyReplicaCount, group, config)
	p.Address = lb.Spec.PublicAddress
	return p
}

// OfGWProxy returns what has to run for a gateway proxy. Group and config may be nil if
// they are not known.
func OfGWProxy(proxy *epicv1.GWProxy, group *epicv1.LBServiceGroup, config *epicv1.EPIC) Proxy {
	p := of(GWProxy, &proxy.ObjectMeta, proxy.Spec.EnvoyReplicaCount, group, config)
	p.Address, p.AltAddress = proxy.Spec.PublicAddress, proxy.Spec.AltAddress
	return p
}

func of(kind Kind, meta *metav1.ObjectMeta, replicas *int32, group *epicv1.LBServiceGroup, config *epicv1.EPIC) Proxy {
	p := Proxy{
		Kind: kind, Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, Generation: meta.Generation,
		Account: meta.Labels[epic.OwningAccountLabel], Prefix: meta.Labels[epic.OwningServicePrefixLabel],
	}
	if group != nil {
		replicas = cmp.Or(replicas, group.Spec.EnvoyReplicaCount)
		p.Image = group.Spec.EnvoyImage
	}
	if config != nil {
		p.Image = cmp.Or(p.Image, config.Spec.EnvoyImage)
	}
	p.Replicas = max(1, ptr.Deref(replicas, 1))
	return p
}

// ResourceName returns the name of the Kubernetes objects that run the proxy. It differs
// for a load balancer and a gateway proxy of the same name.
func (p *Proxy) ResourceName() string {
	prefix := "gwp-"
	if p.Kind == LoadBalancer {
		prefix = "lb-"
	}
	// A Deployment's name is part of label values of its pods.
	return epic.LabelValue(prefix + p.Name)
}

// ownerLabel returns the label in which a pod names its object.
func (p *Proxy) ownerLabel() string {
	if p.Kind == LoadBalancer {
		return epic.OwningLoadBalancerLabel
	}
	return epic.OwningProxyLabel
}

// Labels returns the labels that select the proxy's pods.
func (p *Proxy) Labels() map[string]string {
	return map[string]string{
		epic.PartOfLabel:    epic.ProductName,
		epic.ComponentLabel: epic.EnvoyComponent,
		p.ownerLabel():      epic.LabelValue(p.Name),
	}
}

// annotations returns annotations with the object's name, for names that a label can't
// hold.
func (p *Proxy) annotations() map[string]string {
	if epic.LabelValue(p.Name) == p.Name {
		return nil
	}
	return map[string]string{p.ownerLabel(): p.Name}
}

// meta returns the metadata of each object that runs the proxy. The objects are deleted
// with their owner.
func (p *Proxy) meta() metav1.ObjectMeta {
	labels := p.Labels()
	if p.Account != "" {
		labels[epic.OwningAccountLabel] = epic.LabelValue(p.Account)
	}
	return metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.ResourceName(), Labels: labels, Annotations: p.annotations(),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: epicv1.SchemeGroupVersion.String(), Kind: string(p.Kind), Name: p.Name, UID: p.UID, Controller: ptr.To(true),
		}},
	}
}

// SecretLabel and SecretLabelValue mark the Secrets that the operator reads: those with
// certificates for listeners and backends. It reads no others.
const (
	SecretLabel      = epic.LabelPrefix + "use"
	SecretLabelValue = "proxy"
)
