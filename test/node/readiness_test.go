// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/status"
)

// shownAs is a condition in short.
func shownAs(conditions []metav1.Condition, name string) string {
	c := meta.FindStatusCondition(conditions, name)
	if c == nil {
		return "none"
	}
	return string(c.Status) + "/" + c.Reason
}

// The tenant sees by its objects whether a tunnel works, as the far end comes and goes,
// and a restart of the gateway's program is no reason to state that one does not.
func TestReadiness(t *testing.T) {
	s := newSite(t, 1)
	s.podServes(0, 8080, "hello")
	v := s.service(0, "web", 8080)
	v.answers("hello")
	ctx, reps := t.Context(), s.client.EpicV1().RemoteEndpoints(v.lb.Namespace)
	endpoint := func(name, want string) {
		t.Helper()
		s.until("the endpoint "+name+" is "+want, func() error {
			rep, err := reps.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := shownAs(rep.Status.Conditions, "TunnelReady") + " " + shownAs(rep.Status.Conditions, "Ready"); got != want {
				return fmt.Errorf("%s: %+v", got, rep.Status.Conditions)
			}
			return nil
		})
	}
	balancer := func(want string) {
		t.Helper()
		s.until("the load balancer is "+want, func() error {
			lb, err := s.client.EpicV1().LoadBalancers(v.lb.Namespace).Get(ctx, v.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := shownAs(lb.Status.Conditions, "TunnelsUp") + " " + shownAs(lb.Status.Conditions, "Ready"); got != want {
				return fmt.Errorf("%s: %+v", got, lb.Status.Conditions)
			}
			return nil
		})
	}
	gateway := func(state string) {
		t.Helper()
		s.until("the gateway's tunnel is "+state, func() error {
			tunnel, err := v.tunnel(s.gateway)
			if err == nil && tunnel.State != state {
				err = fmt.Errorf("%+v", tunnel)
			}
			return err
		})
	}
	endpoint("web-one", "True/Up True/Ready")
	balancer("True/Up True/Ready")

	// An endpoint on a node that does not exist.
	_, err := reps.Create(ctx, &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: "nowhere", Labels: map[string]string{epic.OwningLoadBalancerLabel: v.name}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: "10.77.0.1", NodeAddress: "192.0.2.77", Port: epicv1.EndpointPort{Port: 80}},
	}, metav1.CreateOptions{})
	s.must(err)
	endpoint("nowhere", "False/AllTunnelsDown False/AllTunnelsDown")
	endpoint("web-one", "True/Up True/Ready")
	balancer("False/SomeTunnelsDown True/Ready")
	s.must(reps.Delete(ctx, "nowhere", metav1.DeleteOptions{}))
	balancer("True/Up True/Ready")

	// The gateway's program is killed and comes back.
	changes, err := reps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=web-one"})
	s.must(err)
	defer changes.Stop()
	s.must(s.gateway.process.Kill())
	s.gateway.run()
	s.gateway.ready()
	gateway(status.Up)
	time.Sleep(3 * time.Second) // long enough for reports that should not come
	for quiet := false; !quiet; {
		select {
		case event := <-changes.ResultChan():
			rep, ok := event.Object.(*epicv1.RemoteEndpoint)
			if !ok || event.Type == watch.Deleted {
				continue
			}
			if got := shownAs(rep.Status.Conditions, "TunnelReady"); got != "True/Up" {
				t.Errorf("While the gateway's program restarts, the endpoint is %s", got)
			}
		default:
			quiet = true
		}
	}

	// The client's program stops.
	s.must(s.tenants[0].process.Stop())
	gateway(status.Down)
	began := time.Now()
	endpoint("web-one", "False/AllTunnelsDown False/AllTunnelsDown")
	t.Logf("down is told after %s", time.Since(began).Round(time.Millisecond))
	balancer("False/AllTunnelsDown False/AllTunnelsDown")
	node, err := s.client.EpicV1().GatewayNodes(epic.ConfigNamespace).Get(ctx, s.outer.gateway, metav1.GetOptions{})
	s.must(err)
	if d := node.Status.DownTunnels; len(d) != 1 || d[0].TenantNode != s.outer.node || d[0].LastAnswer.IsZero() || node.Status.TunnelsDown != 1 || node.Status.TunnelsUp != 0 {
		t.Errorf("the gateway node reports %+v", node.Status)
	}
	s.tenants[0].run()
	gateway(status.Up)
	began = time.Now()
	endpoint("web-one", "True/Up True/Ready")
	t.Logf("up is told after %s", time.Since(began).Round(time.Millisecond))
	balancer("True/Up True/Ready")
	v.answers("hello")
}
