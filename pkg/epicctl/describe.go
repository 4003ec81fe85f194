// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

type describeAccount struct {
	*tool
	name string
}

func newDescribeAccount(t *tool) *cobra.Command {
	o := &describeAccount{tool: t}
	return &cobra.Command{
		Use:   "account NAME [flags]",
		Short: "Show the details of an account",
		Long: "Show the details of an account: its limits and their usage, its groups, addresses,\n" +
			"listeners, edge settings and tunnels, what is not ready and why, who has access, its\n" +
			"conditions, and the latest events of its objects.",
		Example:           "  epicctl describe account acme",
		Args:              exactly("NAME"),
		ValidArgsFunction: completeAccounts(t, false),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(c.Context())
		},
	}
}

// proxy is the part of a load balancer or a gateway proxy that the description contains.
type proxy struct {
	kind, name, group, address, alternate string
	// groupNamespace is the namespace of the group.
	groupNamespace string
	endpoints      []v1.DNSEndpoint
	edge           *v1.EdgeSpec
	status         *v1.ProxyStatus
}

// inventory is the input of the description.
type inventory struct {
	account   *v1.Account
	groups    []*v1.LBServiceGroup
	proxies   []proxy
	endpoints int
	routes    int
	slices    int
	bindings  []rbacv1.RoleBinding
	// bindingsUnknown explains why the bindings are missing.
	bindingsUnknown string
	// events holds the latest events of the account's objects, the latest last.
	events     []*corev1.Event
	moreEvents int
	// eventsUnknown explains why the events are missing.
	eventsUnknown string
	// tunnels holds the state of tunnels; nil if it may not be read.
	tunnels *tunnelstate.Tracker
	// unready holds the first endpoints that are not Ready.
	unready     []*v1.RemoteEndpoint
	moreUnready int
	// unservedRoutes holds the first routes with a problem.
	unservedRoutes []*v1.GWRoute
	moreUnserved   int
	// offered holds the groups of the platform team that proxies use, by name.
	offered map[string]*v1.LBServiceGroup
}

// shownUnready is the maximum number of listed endpoints that are not Ready, and of
// listed routes with a problem.
const shownUnready = 20

func (o *describeAccount) run(ctx context.Context) error {
	if err := checkAccountName(o.name); err != nil {
		return err
	}
	kube, client, err := o.clients()
	if err != nil {
		return err
	}
	account, err := getAccount(ctx, client, o.name)
	if err != nil {
		if isStatus(err, 404) && !notServed(err) {
			return fmt.Errorf("account %s does not exist: \"epicctl get accounts\" lists the accounts", o.name)
		}
		return err
	}
	inv := &inventory{account: account}
	if err := inv.read(ctx, client); err != nil {
		return err
	}
	inv.readBindings(ctx, kube)
	inv.readEvents(ctx, kube)
	inv.readTunnels(ctx, client)
	inv.readOffered(ctx, client)
	inv.print(o.Out)
	return nil
}

func (inv *inventory) read(ctx context.Context, client versioned.Interface) (err error) {
	ns, c := inv.account.Namespace, client.EpicV1()
	if inv.groups, err = all(ctx, collection[*v1.LBServiceGroup](epic.ResourceLBServiceGroups, ns, c.LBServiceGroups(ns).List)); err != nil {
		return err
	}
	err = each(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, ns, c.LoadBalancers(ns).List), func(o *v1.LoadBalancer) error {
		inv.proxies = append(inv.proxies, proxy{
			kind: "LoadBalancer", name: o.Name, group: o.Labels[epic.OwningLBServiceGroupLabel],
			groupNamespace: o.Labels[epic.OwningLBServiceGroupNamespaceLabel],
			address:        o.Spec.PublicAddress, endpoints: o.Spec.Endpoints, edge: o.Spec.Edge, status: &o.Status,
		})
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, ns, c.GWProxies(ns).List), func(o *v1.GWProxy) error {
		inv.proxies = append(inv.proxies, proxy{
			kind: "GWProxy", name: o.Name, group: o.Labels[epic.OwningLBServiceGroupLabel],
			groupNamespace: o.Labels[epic.OwningLBServiceGroupNamespaceLabel],
			address:        o.Spec.PublicAddress, alternate: o.Spec.AltAddress, endpoints: o.Spec.Endpoints, edge: o.Spec.Edge, status: &o.Status,
		})
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, collection[*v1.RemoteEndpoint](epic.ResourceRemoteEndpoints, ns, c.RemoteEndpoints(ns).List), func(o *v1.RemoteEndpoint) error {
		inv.endpoints++
		switch {
		case !meta.IsStatusConditionFalse(o.Status.Conditions, readyCondition):
		case len(inv.unready) < shownUnready:
			inv.unready = append(inv.unready, o)
		default:
			inv.moreUnready++
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, collection[*v1.GWRoute](epic.ResourceGWRoutes, ns, c.GWRoutes(ns).List), func(o *v1.GWRoute) error {
		inv.routes++
		switch _, conditions := routeTroubles(o); {
		case len(conditions) == 0:
		case len(inv.unservedRoutes) < shownUnready:
			inv.unservedRoutes = append(inv.unservedRoutes, o)
		default:
			inv.moreUnserved++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(ctx, collection[*v1.GWEndpointSlice](epic.ResourceGWEndpointSlices, ns, c.GWEndpointSlices(ns).List), func(*v1.GWEndpointSlice) error { inv.slices++; return nil })
}

// readBindings reads the role bindings if permitted: a tenant may see its account, but
// not who else has permissions in it.
func (inv *inventory) readBindings(ctx context.Context, kube kubernetes.Interface) {
	around, err := look(kube)
	if err != nil {
		inv.bindingsUnknown = "unknown: " + line(err.Error())
		return
	}
	if !around.rbac {
		inv.bindingsUnknown = "this standalone server has no RBAC"
		return
	}
	ns := inv.account.Namespace
	list, err := kube.RbacV1().RoleBindings(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		missing := right{"list", "rolebindings." + rbacv1.GroupName, ns}
		inv.bindingsUnknown = "unknown: you may not " + missing.String()
		if !deniedByRBAC(err) {
			inv.bindingsUnknown = "unknown: " + line(err.Error())
		}
		return
	}
	inv.bindings = list.Items
}

// readTunnels reads gateway nodes' reports on tunnels. Tenants are not permitted to; the
// conditions of their objects show what concerns them.
func (inv *inventory) readTunnels(ctx context.Context, client versioned.Interface) {
	nodes, err := all(ctx, collection[*v1.GatewayNode](epic.ResourceGatewayNodes, epic.ConfigNamespace, client.EpicV1().GatewayNodes(epic.ConfigNamespace).List))
	if err != nil {
		return
	}
	inv.tunnels = tunnelstate.New(tunnelstate.Options{})
	for _, node := range nodes {
		inv.tunnels.Set(node)
	}
}

// tunnelState returns the state of a tunnel as one word.
func (inv *inventory) tunnelState(id int32, gatewayNode string) string {
	address, err := netip.ParseAddr(gatewayNode)
	if inv.tunnels == nil || err != nil || id == 0 {
		return ""
	}
	return inv.tunnels.State(id, address).String()
}

func (inv *inventory) print(out io.Writer) {
	a := inv.account
	var u usage
	u.groups = len(inv.groups)
	for _, p := range inv.proxies {
		u.tunnels += tunnelCount(p.status)
		if p.kind == "GWProxy" {
			u.gateways++
		} else {
			u.loadBalancers++
		}
	}
	w := printers.GetNewTabWriter(out)
	defer w.Flush() //nolint:errcheck // the error can't be reported elsewhere
	field := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s:\t%s\n", name, line(fmt.Sprintf(format, args...)))
	}
	field("Name", "%s", a.Name)
	field("Namespace", "%s", a.Namespace)
	field("Group ID", "%s", idOrNone(a.Spec.GroupID))
	field("Created", "%s (%s ago)", a.CreationTimestamp.UTC().Format("2006-01-02 15:04:05 MST"), age(a.CreationTimestamp))
	if a.DeletionTimestamp != nil {
		field("Being deleted", "since %s ago, kept by %s", age(*a.DeletionTimestamp), strings.Join(a.Finalizers, ", "))
	}
	field("Proxies", "%d of %d%s", u.proxies(), proxyLimit(a), limitNote(u.proxies(), proxyLimit(a)))
	field("  Load balancers", "%d", u.loadBalancers)
	field("  Gateways", "%d", u.gateways)
	field("Tunnels", "%d", u.tunnels)
	field("Remote endpoints", "%d", inv.endpoints)
	field("Routes", "%d", inv.routes)
	field("Endpoint slices", "%d", inv.slices)
	field("Last service ID", "%s", idOrNone(a.Status.CurrentServiceID))

	section(w, "Groups", "", []string{"NAME", "PREFIX", "SHARED", "REPLICAS"}, inv.groupRows())
	section(w, "Addresses", "", []string{"KIND", "NAME", "GROUP", "ADDRESS", "DNS NAME", "ENVOYS", "READY"}, inv.addressRows())
	section(w, "Listeners", "", []string{"KIND", "NAME", "LISTENER", "ROUTES", "PROGRAMMED", "REASON", "MESSAGE"}, inv.listenerRows())
	section(w, "Edge settings", "the defaults", []string{"KIND", "NAME", "SETTING"}, inv.edgeRows())
	section(w, "Tunnels", "", []string{"KIND", "NAME", "CLIENT NODE", "GATEWAY NODE", "PORT", "ID", "STATE"}, inv.tunnelRows())
	section(w, "Not ready", "", []string{"KIND", "NAME", "CONDITION", "REASON", "SINCE", "MESSAGE"}, inv.unreadyRows())
	section(w, "Rights", inv.bindingsUnknown, []string{"ROLE", "WHO", "BINDING"}, inv.bindingRows())
	section(w, "Conditions", "none: no controller has set any; \"epicctl status\" shows whether one runs", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, inv.conditionRows())
	section(w, "Events", inv.eventsUnknown, []string{"TYPE", "KIND", "NAME", "REASON", "SINCE", "MESSAGE"}, inv.eventRows())
}

func limitNote(used, limit int) string {
	switch {
	case used > limit:
		return " (over the limit, which was lowered: no more can be created)"
	case used == limit:
		return " (at the limit: \"epicctl create account NAME --proxy-limit\" raises it)"
	}
	return ""
}

// section prints rows below a title, or the reason why there are none.
func section(w io.Writer, title, why string, header []string, rows [][]string) {
	if len(rows) == 0 {
		if why == "" {
			why = "<none>"
		}
		fmt.Fprintf(w, "%s:\t%s\n", title, why)
		return
	}
	fmt.Fprintf(w, "%s:\n  %s\n", title, strings.Join(header, "\t"))
	for _, cells := range rows {
		for i := range cells {
			cells[i] = orNone(cells[i])
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t"))
	}
}

func (inv *inventory) groupRows() (rows [][]string) {
	for _, g := range inv.groups {
		replicas := none
		if g.Spec.EnvoyReplicaCount != nil {
			replicas = fmt.Sprint(*g.Spec.EnvoyReplicaCount)
		}
		rows = append(rows, []string{g.Name, g.Labels[epic.OwningServicePrefixLabel], fmt.Sprint(g.Spec.CanBeShared), replicas})
	}
	return rows
}

func (inv *inventory) addressRows() (rows [][]string) {
	for _, p := range inv.proxies {
		var names []string
		for _, e := range p.endpoints {
			names = append(names, e.DNSName)
		}
		address := p.address
		if p.alternate != "" {
			address += ", " + p.alternate
		}
		rows = append(rows, []string{p.kind, p.name, p.group, address, strings.Join(names, ", "), envoysOf(p.status), readyStatus(p.status.Conditions)})
	}
	return rows
}

// envoysOf returns the number of ready Envoys and the desired number, or "" if no
// operator has reported any.
func envoysOf(s *v1.ProxyStatus) string {
	if s.Envoy == nil {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Envoy.ReadyReplicas, s.Envoy.Replicas)
}

func (inv *inventory) tunnelRows() (rows [][]string) {
	for _, p := range inv.proxies {
		for _, node := range slices.Sorted(maps.Keys(p.status.GUETunnelEndpoints)) {
			t := p.status.GUETunnelEndpoints[node]
			pairs := t.EPICEndpoints
			if len(pairs) == 0 {
				pairs = map[string]v1.GUETunnelEndpoint{t.EPICAddress: {EPICAddress: t.EPICAddress, EPICPort: t.EPICPort, TunnelID: t.TunnelID}}
			}
			for _, address := range slices.Sorted(maps.Keys(pairs)) {
				end := pairs[address]
				rows = append(rows, []string{p.kind, p.name, node, address, fmt.Sprintf("%d/%s", end.EPICPort.Port, end.EPICPort.Protocol), idOrNone(end.TunnelID), inv.tunnelState(end.TunnelID, address)})
			}
		}
	}
	return rows
}

// unreadyRows returns rows for the false conditions of proxies, and the endpoints that
// are not Ready.
func (inv *inventory) unreadyRows() (rows [][]string) {
	row := func(kind, name string, c *metav1.Condition) {
		rows = append(rows, []string{kind, name, c.Type, c.Reason, age(c.LastTransitionTime), c.Message})
	}
	for _, p := range inv.proxies {
		for i := range p.status.Conditions {
			// Ready repeats another condition.
			if c := &p.status.Conditions[i]; c.Status == metav1.ConditionFalse && c.Type != readyCondition {
				row(p.kind, p.name, c)
			}
		}
	}
	for _, o := range inv.unservedRoutes {
		at, conditions := routeTroubles(o)
		for i, c := range conditions {
			name := o.Name
			if at[i] != "" {
				name += " at " + at[i]
			}
			row("GWRoute", name, c)
		}
	}
	if inv.moreUnserved > 0 {
		rows = append(rows, []string{"GWRoute", fmt.Sprintf("and %d more", inv.moreUnserved), "", "", "", ""})
	}
	for _, o := range inv.unready {
		row("RemoteEndpoint", o.Name, meta.FindStatusCondition(o.Status.Conditions, readyCondition))
	}
	if inv.moreUnready > 0 {
		rows = append(rows, []string{"RemoteEndpoint", fmt.Sprintf("and %d more", inv.moreUnready), "", "", "", ""})
	}
	return rows
}

func (inv *inventory) bindingRows() (rows [][]string) {
	for _, b := range inv.bindings {
		for _, s := range b.Subjects {
			who := s.Kind + " " + s.Name
			if s.Kind == rbacv1.ServiceAccountKind {
				who = s.Kind + " " + s.Namespace + "/" + s.Name
			}
			rows = append(rows, []string{b.RoleRef.Name, who, b.Name})
		}
	}
	return rows
}

func (inv *inventory) conditionRows() (rows [][]string) {
	for _, c := range inv.account.Status.Conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, age(c.LastTransitionTime), c.Message})
	}
	return rows
}
