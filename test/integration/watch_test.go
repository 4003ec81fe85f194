// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
)

// TestInformers follows objects as controllers and nodes do.
func TestInformers(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	client := clientset.NewForConfigOrDie(server.Config)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// A gateway node wants what has a tunnel on it; a client node its own
	// namespace.
	node := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = "status.epic-node=192.168.1.40"
	}))
	tenant := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithNamespace("epic-two"))
	onNode, inTenant := node.Epic().V1().LoadBalancers(), tenant.Epic().V1().LoadBalancers()
	synced := []cache.InformerSynced{onNode.Informer().HasSynced, inTenant.Informer().HasSynced}
	node.Start(ctx.Done())
	tenant.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		t.Fatal("the informers did not sync")
	}
	count := func(what string, list func() (int, error), want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s: %d", what, want), func() bool {
			n, err := list()
			return err == nil && n == want
		})
	}
	nodes := func() (int, error) { l, err := onNode.Lister().List(labels.Everything()); return len(l), err }
	tenants := func() (int, error) { l, err := inTenant.Lister().List(labels.Everything()); return len(l), err }

	status := func(addresses string) {
		t.Helper()
		if _, err := client.EpicV1().LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType,
			[]byte(`{"status":{"gue-tunnel-endpoints":`+addresses+`}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	count("on the node at first", nodes, 0)
	status(`{"10.0.0.1":{"epic-endpoints":{"192.168.1.40":{},"192.168.1.41":{}}}}`)
	count("on the node with a tunnel", nodes, 1)
	status(`{"10.0.0.1":{"epic-endpoints":{"192.168.1.40":null}}}`)
	count("on the node when its tunnel is gone", nodes, 0)

	if _, err := client.EpicV1().LoadBalancers("epic-two").Create(ctx, loadBalancer("own", "own-two"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	count("in the tenant's namespace", tenants, 1)
}

// TestWatchListAndBookmarks asks for the initial state as events, which end in a
// bookmark, and continues from there.
func TestWatchListAndBookmarks(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	api := clientset.NewForConfigOrDie(server.Config).EpicV1().LoadBalancers("epic-one")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	yes := true
	w, err := api.Watch(ctx, metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	next := func() (watch.EventType, metav1.Object) {
		t.Helper()
		select {
		case e := <-w.ResultChan():
			m, ok := e.Object.(metav1.Object)
			if !ok {
				t.Fatalf("%s: %+v", e.Type, e.Object)
			}
			return e.Type, m
		case <-ctx.Done():
			t.Fatal("no event within a minute")
			return "", nil
		}
	}
	if kind, obj := next(); kind != watch.Added || obj.GetName() != "first" {
		t.Fatalf("the initial state is %s %s", kind, obj.GetName())
	}
	kind, mark := next()
	if kind != watch.Bookmark || mark.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Fatalf("the initial state ends in %s %v", kind, mark.GetAnnotations())
	}
	if _, err := api.Patch(ctx, "first", types.MergePatchType, []byte(`{"spec":{"display-name":"x"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if kind, obj := next(); kind != watch.Modified || obj.GetGeneration() != 2 {
		t.Errorf("after a change: %s, generation %d", kind, obj.GetGeneration())
	}
	// A watch can continue from where another ended.
	again, err := api.Watch(ctx, metav1.ListOptions{ResourceVersion: mark.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	if e := <-again.ResultChan(); e.Type != watch.Modified {
		t.Errorf("the watch that goes on begins with %s", e.Type)
	}
}
