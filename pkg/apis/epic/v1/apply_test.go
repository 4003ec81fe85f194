// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	applyv1 "github.com/acnodal/epic/pkg/generated/applyconfiguration/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
)

// TestApply checks that the generated clients can apply, and that two appliers
// can own a port and a cluster each, because those lists have keys.
func TestApply(t *testing.T) {
	client := fake.NewClientset().EpicV1().LoadBalancers("epic-sample")
	apply := func(manager string, port int32, cluster string) {
		t.Helper()
		lb := applyv1.LoadBalancer("web", "epic-sample").WithSpec(applyv1.LoadBalancerSpec().
			WithPublicPorts(applyv1.ServicePort().WithPort(port).WithProtocol("TCP")).
			WithUpstreamClusters(cluster))
		if _, err := client.Apply(t.Context(), lb, metav1.ApplyOptions{FieldManager: manager}); err != nil {
			t.Fatal(err)
		}
	}
	apply("one", 80, "cluster-a")
	apply("two", 443, "cluster-b")
	lb, err := client.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(lb.Spec.PublicPorts) != 2 || len(lb.Spec.UpstreamClusters) != 2 {
		t.Errorf("the second apply took away what the first set: %+v", lb.Spec)
	}
}
