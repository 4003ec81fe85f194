// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// TestTwoServers has clients of two servers on one etcd go for the same things
// at once.
func TestTwoServers(t *testing.T) {
	first := testserver.StartTestServer(t)
	second := testserver.StartTestServer(t, "--etcd-servers="+embedetcd.Endpoint(first.DataDir))
	var clients []typed.EpicV1Interface
	for _, s := range []*testserver.TestServer{first, second} {
		clients = append(clients, clientset.NewForConfigOrDie(s.Config).EpicV1())
	}
	k := newKubectl(t, first.Kubeconfig)
	k.apply(t, strings.ReplaceAll(tenants, "192.0.2.8-192.0.2.15", "192.0.2.8-192.0.2.200"), "apply", "-f", "-")

	t.Run("a proxyLimit is exact", func(t *testing.T) { proxyLimit(t, clients) })
	t.Run("a pool is used up to its last address", func(t *testing.T) { lastAddress(t, k, clients) })
	t.Run("tunnel IDs are unique", func(t *testing.T) { tunnelIDs(t, clients) })
	t.Run("what one server writes the other shows at once", func(t *testing.T) {
		ctx := context.Background()
		for i := range 20 {
			name := fmt.Sprintf("fresh%d", i)
			if _, err := clients[i%2].Accounts("epic-"+name).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := clients[(i+1)%2].LoadBalancers("epic-"+name).Create(ctx, loadBalancer("lb", "offered"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	cleanAudit(t, k)
}

func loadBalancer(name, group string) *epicv1.LoadBalancer {
	return &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: group}}
}

func gwProxy(name, group string) *epicv1.GWProxy {
	return &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"epic.acnodal.io/owning-lbservicegroup": group}}}
}

// atOnce calls f n times concurrently and counts the results by kind.
func atOnce(n int, f func(i int) error) map[string]int {
	var mu sync.Mutex
	counts := map[string]int{}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			err := f(i)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				counts["ok"]++
			case errors.IsForbidden(err):
				counts["forbidden"]++
			case errors.IsInvalid(err):
				counts["invalid"]++
			default:
				counts[err.Error()]++
			}
		})
	}
	close(start)
	wg.Wait()
	return counts
}

// proxyLimit has 40 creators of both kinds go for an account's 13 places.
func proxyLimit(t *testing.T, clients []typed.EpicV1Interface) {
	ctx, limit := context.Background(), int32(13)
	_, err := clients[0].Accounts("epic-limited").Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "limited"}, Spec: epicv1.AccountSpec{ProxyLimit: &limit}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(i int) error {
		c, name := clients[i%2], fmt.Sprintf("p%d", i)
		if i%4 < 2 {
			_, err := c.LoadBalancers("epic-limited").Create(ctx, loadBalancer(name, "offered"), metav1.CreateOptions{})
			return err
		}
		_, err := c.GWProxies("epic-limited").Create(ctx, gwProxy(name, "offered"), metav1.CreateOptions{})
		return err
	}
	if got := atOnce(40, create); got["ok"] != 13 || got["forbidden"] != 27 {
		t.Errorf("of 40 creations for 13 places: %v", got)
	}
	// One place that comes free is one more that can be had.
	lbs, err := clients[0].LoadBalancers("epic-limited").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	freed := 0
	for _, lb := range lbs.Items {
		if err := clients[1].LoadBalancers("epic-limited").Delete(ctx, lb.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		freed++
	}
	if got := atOnce(40, func(i int) error { return create(i + 100) }); got["ok"] != freed {
		t.Errorf("of 40 creations for %d places: %v", freed, got)
	}
}

// lastAddress has more creators than a pool has addresses.
func lastAddress(t *testing.T, k kubectl, clients []typed.EpicV1Interface) {
	ctx := context.Background()
	k.apply(t, prefix("small", "pool: 198.51.100.16/29, subnet: 198.51.100.0/24"), "create", "-f", "-")
	k.apply(t, labeled("LBServiceGroup", "epic", "small", "owning-serviceprefix", "small", "spec: {}"), "create", "-f", "-")
	got := atOnce(20, func(i int) error {
		_, err := clients[i%2].LoadBalancers("epic-one").Create(ctx, loadBalancer(fmt.Sprintf("small%d", i), "small"), metav1.CreateOptions{})
		return err
	})
	// Neither end of the CIDR is one of the subnet's, so all of it is assigned.
	if got["ok"] != 8 || got["invalid"]+got["forbidden"] != 12 {
		t.Errorf("of 20 creations for 8 addresses: %v", got)
	}
	lbs, err := clients[0].LoadBalancers("epic-one").List(ctx, metav1.ListOptions{FieldSelector: "spec.service-group=small"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, lb := range lbs.Items {
		if seen[lb.Spec.PublicAddress] {
			t.Errorf("%s is assigned twice", lb.Spec.PublicAddress)
		}
		seen[lb.Spec.PublicAddress] = true
		if err := clients[1].LoadBalancers("epic-one").Delete(ctx, lb.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// tunnelIDs has many writers add tunnels to objects of their own.
func tunnelIDs(t *testing.T, clients []typed.EpicV1Interface) {
	ctx, limit, writers := context.Background(), int32(100), 16
	if _, err := clients[0].Accounts("epic-many").Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "many"}, Spec: epicv1.AccountSpec{ProxyLimit: &limit}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got := atOnce(writers, func(i int) error {
		name := fmt.Sprintf("w%d", i)
		c := clients[i%2]
		if _, err := c.GWProxies("epic-many").Create(ctx, gwProxy(name, "offered"), metav1.CreateOptions{}); err != nil {
			return err
		}
		for round := range 5 {
			obj, err := clients[(i+round)%2].GWProxies("epic-many").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			m := map[string]epicv1.TunnelEndpoint{}
			for n := range 1 + 40*(round%3) {
				m[fmt.Sprintf("10.1.%d.%d", round, n+1)] = epicv1.TunnelEndpoint{EPICAddress: "192.168.1.40"}
			}
			obj.Status.GUETunnelEndpoints = m
			if _, err := clients[(i+round)%2].GWProxies("epic-many").UpdateStatus(ctx, obj, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if got["ok"] != writers {
		t.Errorf("writers of their own objects failed: %v", got)
	}
	list, err := clients[0].GWProxies("epic-many").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int32]string{}
	for _, p := range list.Items {
		for node, entry := range p.Status.GUETunnelEndpoints {
			if before, ok := seen[entry.TunnelID]; ok || entry.TunnelID == 0 {
				t.Errorf("tunnel %d of %s to %s is one of %s too", entry.TunnelID, p.Name, node, before)
			}
			seen[entry.TunnelID] = p.Name
		}
	}
}
