// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// The description shows what Envoys listen on, which edge settings are in effect, and which
// routes are not served and why.
func TestDescribeProxies(t *testing.T) {
	i := install(t)
	i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	c, ctx := i.client.EpicV1(), t.Context()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Listeners: <none>", "Edge settings: the defaults")
	const (
		now       = `"lastTransitionTime":"2026-01-02T03:04:05Z"`
		condition = `{"type":%q,"status":%q,"reason":%q,"message":%q,` + now + `}`
	)
	patch := func(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
	var p metav1.PatchOptions
	check(c.LBServiceGroups("epic-acme").Patch(ctx, "web", types.MergePatchType, patch(`{"spec":{"edge":{"connectionLimit":{"perListener":100}}}}`), p))
	check(c.GWProxies("epic-acme").Patch(ctx, "gate", types.MergePatchType, patch(`{"spec":{"edge":{"connectionLimit":{"perListener":20},"rateLimit":{"requests":{"count":5}}}}}`), p))
	check(c.LoadBalancers("epic-acme").Patch(ctx, "shop", types.MergePatchType,
		patch(`{"status":{"envoy":{"replicas":2,"readyReplicas":2,"updatedReplicas":2,"listeners":[{"name":"tcp/80","port":80,"protocol":"TCP","programmedReplicas":1}]}}}`), p, "status"))
	check(c.GWProxies("epic-acme").Patch(ctx, "gate", types.MergePatchType,
		patch(`{"status":{"listeners":[{"name":"secure","attachedRoutes":3,"conditions":[`+condition+`,`+condition+`]},{"name":"web","attachedRoutes":1,"conditions":[`+condition+`]}]}}`,
			"Programmed", "False", "Invalid", "see ResolvedRefs", "ResolvedRefs", "False", "InvalidCertificateRef", "create the Secret", "Programmed", "True", "Programmed", ""), p, "status"))
	for _, name := range []string{"good", "lost", "half"} {
		route := &v1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.GWRouteSpec{HTTP: &v1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gate"}}},
		}}}}
		check(c.GWRoutes("epic-acme").Create(ctx, route, metav1.CreateOptions{}))
	}
	check(c.GWRoutes("epic-acme").Patch(ctx, "good", types.MergePatchType, patch(`{"status":{"parents":[{"parentRef":{"name":"gate"},"conditions":[`+condition+`]}]}}`,
		"Accepted", "True", "Accepted", ""), p, "status"))
	check(c.GWRoutes("epic-acme").Patch(ctx, "lost", types.MergePatchType, patch(`{"status":{"conditions":[`+condition+`,`+condition+`]}}`,
		"Programmed", "False", "NoParents", "no proxy", "Ready", "False", "NoParents", "no proxy"), p, "status"))
	check(c.GWRoutes("epic-acme").Patch(ctx, "half", types.MergePatchType, patch(`{"status":{"conditions":[`+condition+`],"parents":[{"parentRef":{"name":"gate","sectionName":"web"},"conditions":[`+condition+`]}]}}`,
		"Programmed", "False", "NoWeight", "repeated", "PartiallyInvalid", "True", "NoWeight", "weights are 0"), p, "status"))

	r := i.run(t, "describe", "account", "acme")
	r.want(t, ExitOK,
		"KIND NAME LISTENER ROUTES PROGRAMMED REASON MESSAGE",
		"LoadBalancer shop tcp/80 - 1/2 - -",
		"GWProxy gate secure 3 False ResolvedRefs InvalidCertificateRef create the Secret",
		"GWProxy gate web 1 True - -",
		"KIND NAME SETTING",
		"LoadBalancer shop connectionLimit.perListener=100",
		"GWProxy gate connectionLimit.perListener=20", "GWProxy gate rateLimit.requests=5 in 1s",
		"GWRoute lost Programmed NoParents", "GWRoute half at gate/web PartiallyInvalid NoWeight")
	r.lacks(t, "GWRoute good", "GWRoute lost Ready", "repeated")
}
