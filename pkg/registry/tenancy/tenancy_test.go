// SPDX-License-Identifier: Apache-2.0

package tenancy

import (
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

func TestInUse(t *testing.T) {
	for resource, want := range map[string]string{
		epic.ResourceAccounts: "account", epic.ResourceServicePrefixes: "serviceprefix", epic.ResourceLBServiceGroups: "lbservicegroup",
		epic.ResourceLoadBalancers: "loadbalancer", epic.ResourceGWProxies: "gwproxy",
	} {
		err := InUse("Account", "one", claims.Owner{Ref: claims.Ref{Resource: resource, Namespace: "epic-one", Name: "x"}})
		if !strings.Contains(err.Error(), "others depend on it, for example "+want+" epic-one/x: delete them first") {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

func TestRefs(t *testing.T) {
	for got, want := range map[string]string{
		EPICRef().String():                      "epics/epic/epic",
		AccountRef("epic-one").String():         "accounts/epic-one/one",
		AccountRef("epic-epic-one").String():    "accounts/epic-epic-one/epic-one",
		PrefixRef("p").String():                 "serviceprefixes/epic/p",
		GroupRef("epic-one", "g").String():      "lbservicegroups/epic-one/g",
		LoadBalancerRef("epic-a", "b").String(): "loadbalancers/epic-a/b",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCheckAccount(t *testing.T) {
	now := metav1.Now()
	for want, account := range map[string]*epic.Account{
		"":                             {},
		"create Account one":           nil,
		"Account one is being deleted": {ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}},
	} {
		e := CheckAccount(account, "epic-one")
		if (e == nil) != (want == "") || e != nil && (e.Field != "metadata.namespace" || !strings.Contains(e.Detail, want)) {
			t.Errorf("got %v, want %q", e, want)
		}
	}
}

func TestSetLabel(t *testing.T) {
	for name, c := range map[string]struct {
		labels, want map[string]string
		refused      bool
	}{
		"none":    {nil, map[string]string{"l": "v"}, false},
		"others":  {map[string]string{"x": "y"}, map[string]string{"x": "y", "l": "v"}, false},
		"same":    {map[string]string{"l": "v"}, map[string]string{"l": "v"}, false},
		"another": {map[string]string{"l": "w"}, map[string]string{"l": "w"}, true},
		"empty":   {map[string]string{"l": ""}, map[string]string{"l": ""}, true},
	} {
		m := &metav1.ObjectMeta{Labels: c.labels}
		e := SetLabel(m, "l", "v", "because")
		if (e != nil) != c.refused || !maps.Equal(m.Labels, c.want) {
			t.Errorf("%s: %v, %v", name, m.Labels, e)
		}
		if e != nil && (e.Field != "metadata.labels[l]" || !strings.Contains(e.Detail, "because")) {
			t.Errorf("%s: %v", name, e)
		}
	}
}
