// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"io"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
)

// Programs write the status of objects all the time, and another cluster may begin to share one:
// after a conflict, the command decides again.
func TestDisconnectPurgeBesideOtherWriters(t *testing.T) {
	lb := func(name, creator string) *v1.LoadBalancer {
		return &v1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: name, Labels: map[string]string{epic.OwningClusterLabel: creator}},
			Spec:       v1.LoadBalancerSpec{UpstreamClusters: []string{"paris"}},
		}
	}
	proxy := func(name string) *v1.GWProxy {
		return &v1.GWProxy{ObjectMeta: metav1.ObjectMeta{
			Namespace: "epic-acme", Name: name, Labels: map[string]string{epic.OwningClusterLabel: "paris"},
			Annotations: map[string]string{epic.OwnerAnnotation("paris"): "a"},
		}}
	}
	client := fake.NewSimpleClientset(lb("own", "paris"), lb("of-rome", "rome"), proxy("own"), proxy("joined"))
	conflicts := 0
	for _, verb := range []string{"patch", "delete"} {
		once := map[string]bool{}
		client.PrependReactor(verb, "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			named, ok := a.(interface{ GetName() string })
			if !ok || once[a.GetResource().Resource+named.GetName()] {
				return false, nil, nil
			}
			once[a.GetResource().Resource+named.GetName()] = true
			conflicts++
			if named.GetName() == "joined" && verb == "delete" {
				shared := proxy("joined")
				shared.Annotations[epic.OwnerAnnotation("rome")] = "b"
				if err := client.Tracker().Update(a.GetResource(), shared, "epic-acme"); err != nil {
					t.Error(err)
				}
			}
			return true, nil, apierrors.NewConflict(a.GetResource().GroupResource(), named.GetName(), errors.New("modified"))
		})
	}
	o := &disconnect{tool: &tool{IOStreams: genericiooptions.IOStreams{Out: io.Discard, ErrOut: io.Discard}}, account: "acme", cluster: "paris", dryRun: dryRunNone}
	for what, leave := range map[string]func() (bool, error){
		"gateway proxies": func() (bool, error) { return o.leaveProxies(t.Context(), client.EpicV1(), "epic-acme") },
		"load balancers":  func() (bool, error) { return o.leaveLoadBalancers(t.Context(), client.EpicV1(), "epic-acme") },
	} {
		if did, err := leave(); err != nil || !did {
			t.Errorf("%s: %t, %v", what, did, err)
		}
	}
	if conflicts != 7 {
		t.Errorf("There were %d conflicts, want one for each write", conflicts)
	}
	lbs, err := client.EpicV1().LoadBalancers("epic-acme").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(lbs.Items) != 0 {
		t.Errorf("It left the load balancers %v, %v", lbs, err)
	}
	proxies, err := client.EpicV1().GWProxies("epic-acme").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(proxies.Items) != 1 || fmt.Sprint(proxies.Items[0].Annotations) != fmt.Sprint(map[string]string{epic.OwnerAnnotation("rome"): "b"}) {
		t.Errorf("It left the gateway proxies %v, %v", proxies, err)
	}
}
