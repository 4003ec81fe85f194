// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/tools/published"
)

func encode(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// installEPIC creates what the platform team creates before there are accounts.
func (w *world) installEPIC(ctx context.Context) error {
	if err := w.gateway.admin.Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "epic"}}); err != nil {
		return err
	}
	return w.gateway.admin.Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.95.0.1-10.95.255.254", Subnet: "10.95.0.0/16", Aggregation: "default"}},
	})
}

// account creates an account with the service group "web".
func (w *world) account(t *testing.T, name string) string {
	t.Helper()
	ctx, namespace := t.Context(), "epic-"+name
	err := w.gateway.namespace(ctx, namespace)
	if err == nil {
		err = w.gateway.admin.Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: epicv1.AccountSpec{ProxyLimit: ptr.To[int32](1000)}})
	}
	if err == nil {
		err = w.gateway.admin.Create(ctx, &epicv1.LBServiceGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
			Spec:       epicv1.LBServiceGroupSpec{CanBeShared: true},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return namespace
}

// site is the client cluster and an account, under the cluster's name there.
func (w *world) site(namespace, as string) *published.Site {
	return &published.Site{Local: w.tenants.admin, EPIC: w.gateway.admin, Namespace: namespace, Cluster: as, Group: "web"}
}

// remote is what an account has in EPIC, by kind and name.
func (w *world) remote(ctx context.Context, namespace string, options ...client.ListOption) (map[string]client.Object, error) {
	return w.site(namespace, "").Remote(ctx, options...)
}

// update reads an object, changes it and writes it, and retries on conflict.
func update(ctx context.Context, c client.Client, o client.Object, change func()) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		return c.Update(ctx, o)
	})
}

// proxy is a Gateway's in an account's namespace.
func (w *world) proxy(ctx context.Context, namespace string, gateway client.Object) (*epicv1.GWProxy, error) {
	proxy := &epicv1.GWProxy{}
	return proxy, w.gateway.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: asked(gateway)}, proxy)
}

// event returns an error unless there is an event of the connector's about an object with a
// reason.
func (w *world) event(ctx context.Context, namespace, name, reason string) error {
	return w.findEvent(ctx, namespace, name, func(e *eventsv1.Event) bool { return e.Reason == reason })
}

// eventWith returns an error unless there is one with a text.
func (w *world) eventWith(ctx context.Context, namespace, name, text string) error {
	return w.findEvent(ctx, namespace, name, func(e *eventsv1.Event) bool { return strings.Contains(e.Note, text) })
}

func (w *world) findEvent(ctx context.Context, namespace, name string, wanted func(*eventsv1.Event) bool) error {
	all, err := w.tenants.core.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range all.Items {
		if e := &all.Items[i]; e.Regarding.Name == name && e.ReportingController == "epic-connector" && wanted(e) {
			return nil
		}
	}
	return fmt.Errorf("none of %d events about %s says so: %v", len(all.Items), name, all.Items)
}
