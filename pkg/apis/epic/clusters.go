// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OwnerAnnotationPrefix begins the annotations of a shared gateway proxy or load balancer that name
// its owners: one for each client cluster, whose value is the UID of that cluster's Gateway or
// Service.
const OwnerAnnotationPrefix = LabelPrefix + "owner-"

// OwnerAnnotation is the annotation of a shared gateway proxy by which a client cluster
// owns it.
func OwnerAnnotation(cluster string) string {
	// The name of an annotation has at most 63 characters.
	const most = 63 - len("owner-")
	label := NameLabel(cluster)
	if len(label) > most {
		label = NameLabel("." + cluster)[len(label)-most:]
	}
	return OwnerAnnotationPrefix + label
}

// ProxyOf reports whether a client cluster publishes through a gateway proxy: the cluster
// that created it, and those that share it. A proxy that names no cluster was not created
// by a connector, and every cluster of its account may use it. A load balancer lists its
// clusters in its specification.
func ProxyOf(proxy metav1.Object, cluster string) bool {
	shared := false
	for key := range proxy.GetAnnotations() {
		shared = shared || strings.HasPrefix(key, OwnerAnnotationPrefix)
	}
	if shared {
		_, owns := proxy.GetAnnotations()[OwnerAnnotation(cluster)]
		return owns
	}
	owner, created := proxy.GetLabels()[OwningClusterLabel]
	return !created || owner == LabelValue(cluster)
}
