// SPDX-License-Identifier: Apache-2.0

// Package published compares a client cluster with what a connector published of it.
package published

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/connector/publish/publishtest"
)

// Site is a client cluster, and the account in EPIC in which it is published. Both are read
// through their APIs; of the connector's code only package publish is used, which describes
// what a client cluster becomes.
type Site struct {
	Local, EPIC client.Reader
	// Namespace is the account's, Cluster is the client cluster's name there, and Group is the
	// only service group that the account may use.
	Namespace, Cluster, Group string
	// NoSecrets indicates that EPIC's API has no Secrets, as that of a standalone server.
	NoSecrets bool
}

// LocalLists are the kinds that the connector reads in the client cluster.
func LocalLists() []client.ObjectList {
	return []client.ObjectList{
		&gatewayv1.GatewayClassList{}, &gatewayv1.GatewayList{}, &gatewayv1.ListenerSetList{}, &gatewayv1.HTTPRouteList{},
		&gatewayv1.GRPCRouteList{}, &gatewayv1.TLSRouteList{}, &gatewayv1.TCPRouteList{}, &gatewayv1.UDPRouteList{},
		&gatewayv1.ReferenceGrantList{}, &gatewayv1.BackendTLSPolicyList{}, &corev1.ServiceList{}, &corev1.SecretList{},
		&corev1.ConfigMapList{}, &corev1.NamespaceList{}, &corev1.NodeList{}, &discoveryv1.EndpointSliceList{},
	}
}

// remoteLists are the kinds that it writes in EPIC.
func (s *Site) remoteLists() []client.ObjectList {
	all := []client.ObjectList{
		&epicv1.GWProxyList{}, &epicv1.GWRouteList{}, &epicv1.GWEndpointSliceList{}, &epicv1.LoadBalancerList{}, &epicv1.RemoteEndpointList{},
	}
	if !s.NoSecrets {
		all = append(all, &corev1.SecretList{})
	}
	return all
}

// Kind is an object's, by its type.
func Kind(o any) string {
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// Key is an object's kind and name.
func Key(o client.Object) string { return Kind(o) + "/" + o.GetName() }

// List reads all objects of the kinds.
func List(ctx context.Context, c client.Reader, lists []client.ObjectList, options ...client.ListOption) ([]client.Object, error) {
	var all []client.Object
	for _, l := range lists {
		if err := c.List(ctx, l, options...); err != nil {
			return nil, err
		}
		err := meta.EachListItem(l, func(o runtime.Object) error {
			object, ok := o.(client.Object)
			if !ok {
				return fmt.Errorf("%T is not an object", o)
			}
			all = append(all, object)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// snapshot is the client cluster as its API has it now.
func (s *Site) snapshot(ctx context.Context) (*publishtest.Snapshot, error) {
	all, err := List(ctx, s.Local, LocalLists())
	if err != nil {
		return nil, err
	}
	out := &publishtest.Snapshot{}
	for _, o := range all {
		out.Objects = append(out.Objects, o)
	}
	return out, nil
}

// Remote is what the account has in EPIC, by kind and name.
func (s *Site) Remote(ctx context.Context, options ...client.ListOption) (map[string]client.Object, error) {
	all, err := List(ctx, s.EPIC, s.remoteLists(), append(options, client.InNamespace(s.Namespace))...)
	if err != nil {
		return nil, err
	}
	out := map[string]client.Object{}
	for _, o := range all {
		out[Key(o)] = o
	}
	return out, nil
}

// Compare returns every difference between the two sides.
func (s *Site) Compare(ctx context.Context) error {
	j, err := s.compare(ctx)
	if err != nil {
		return err
	}
	return errors.Join(append(j.missing, j.differences...)...)
}

// Objects returns which objects are missing in EPIC, and which nothing in the client cluster
// stands for. Unlike Compare it also judges a connector of another version, which may write
// other contents, and statuses with other messages.
func (s *Site) Objects(ctx context.Context) error {
	j, err := s.compare(ctx)
	if err != nil {
		return err
	}
	return errors.Join(j.missing...)
}

func (s *Site) compare(ctx context.Context) (*comparison, error) {
	local, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	has, err := s.Remote(ctx)
	if err != nil {
		return nil, err
	}
	var uid string
	if system := local.Namespace(metav1.NamespaceSystem); system != nil {
		uid = string(system.UID)
	}
	config := &publish.Config{Cluster: s.Cluster, ClusterUID: uid, Namespace: s.Namespace, Group: s.Group, Groups: sets.New(s.Group)}
	j := &comparison{has: has, want: map[string]client.Object{}, noSecrets: s.NoSecrets}
	for _, gateway := range publishtest.All[*gatewayv1.Gateway](local) {
		j.gateway(config, local, gateway)
	}
	for _, route := range local.Routes() {
		j.route(config, local, route)
	}
	for _, slice := range publishtest.All[*discoveryv1.EndpointSlice](local) {
		if want := publish.EndpointSlice(config, local, slice); want != nil {
			j.expect(want)
		}
	}
	for _, service := range publishtest.All[*corev1.Service](local) {
		j.service(config, local, service)
	}
	for name, has := range j.has {
		if other := has.GetAnnotations()[publish.ClusterUIDKey]; other != "" && other != uid {
			// That of a namesake.
			continue
		}
		if has.GetLabels()[epic.OwningClusterLabel] == epic.LabelValue(s.Cluster) && j.want[name] == nil {
			j.missing = append(j.missing, fmt.Errorf("%s is in EPIC, and nothing in the client cluster stands for it", name))
		}
	}
	return j, nil
}

// comparison collects differences.
type comparison struct {
	has, want map[string]client.Object
	noSecrets bool
	// missing are objects that only one side has, differences all else.
	missing, differences []error
}

func (j *comparison) errorf(format string, args ...any) {
	j.differences = append(j.differences, fmt.Errorf(format, args...))
}

// expect indicates that EPIC has an object with at least this content.
func (j *comparison) expect(want client.Object) {
	name := Key(want)
	j.want[name] = want
	has := j.has[name]
	switch {
	case has == nil:
		j.missing = append(j.missing, fmt.Errorf("%s is missing in EPIC", name))
	case has.GetDeletionTimestamp() != nil:
		j.missing = append(j.missing, fmt.Errorf("%s is being deleted in EPIC", name))
	default:
		for _, d := range differences("", plain(want), plain(has)) {
			j.errorf("%s: %s", name, d)
		}
	}
}

func (j *comparison) secrets(want []*corev1.Secret) {
	for _, s := range want {
		if !j.noSecrets {
			j.expect(s)
		}
	}
}

func (j *comparison) gateway(config *publish.Config, local *publishtest.Snapshot, gateway *gatewayv1.Gateway) {
	name := "Gateway " + gateway.Namespace + "/" + gateway.Name
	if gateway.DeletionTimestamp != nil {
		j.errorf("%s is held", name)
		return
	}
	proxy, _ := j.has["GWProxy/"+publish.ProxyName(gateway)].(*epicv1.GWProxy)
	r := publish.Gateway(config, local, gateway, publish.Remote{Proxy: proxy})
	if r == nil {
		if slices.Contains(gateway.Finalizers, publish.Finalizer) {
			j.errorf("%s is none of the connector's, and has its finalizer", name)
		}
		return
	}
	if r.Proxy != nil {
		j.expect(r.Proxy)
	}
	j.secrets(r.Secrets)
	if proxy == nil {
		return
	}
	if len(gateway.Status.Addresses) != 1 || gateway.Status.Addresses[0].Value != proxy.Spec.PublicAddress {
		j.errorf("%s reports the addresses %v, and its proxy has %s", name, gateway.Status.Addresses, proxy.Spec.PublicAddress)
	}
	j.conditions(name, r.Status.Conditions, gateway.Status.Conditions)
}

func (j *comparison) route(config *publish.Config, local *publishtest.Snapshot, route *publish.Route) {
	r := route.Publish(config, local, publish.RemoteRoute{})
	for _, o := range r.Routes {
		j.expect(o)
	}
	j.secrets(r.Secrets)
	for _, want := range r.Parents {
		name := fmt.Sprintf("%s %s/%s at %s", route.Kind, route.GetNamespace(), route.GetName(), want.ParentRef.Name)
		i := slices.IndexFunc(route.Status.Parents, func(have gatewayv1.RouteParentStatus) bool {
			return have.ControllerName == publish.ControllerName && have.ParentRef.Name == want.ParentRef.Name
		})
		if i < 0 {
			j.errorf("%s: the status does not mention it", name)
			continue
		}
		j.conditions(name, want.Conditions, route.Status.Parents[i].Conditions)
	}
}

func (j *comparison) service(config *publish.Config, local *publishtest.Snapshot, service *corev1.Service) {
	name := "Service " + service.Namespace + "/" + service.Name
	if service.DeletionTimestamp != nil {
		j.errorf("%s is held", name)
		return
	}
	lb, _ := j.has["LoadBalancer/"+publish.LoadBalancerName(service)].(*epicv1.LoadBalancer)
	r := publish.Service(config, local, service, publish.Remote{LoadBalancer: lb})
	if r == nil {
		if slices.Contains(service.Finalizers, publish.Finalizer) {
			j.errorf("%s is none of the connector's, and has its finalizer", name)
		}
		return
	}
	if lb != nil && service.Annotations[publish.SharingKeyAnnotation] != "" && slices.Contains(lb.Spec.UpstreamClusters, config.Cluster) {
		// Each cluster that shares it applies its own name alone.
		r.LoadBalancer.Spec.UpstreamClusters = lb.Spec.UpstreamClusters
	}
	j.expect(r.LoadBalancer)
	for _, e := range r.Endpoints {
		j.expect(e)
	}
	if lb != nil && !equality.Semantic.DeepEqual(service.Status.LoadBalancer, r.Status) {
		j.errorf("%s: the status is %v, and should be %v", name, service.Status.LoadBalancer, r.Status)
	}
}

// conditions compares conditions without the times at which they changed.
func (j *comparison) conditions(name string, want, has []metav1.Condition) {
	for _, w := range want {
		h := meta.FindStatusCondition(has, w.Type)
		if h == nil || h.Status != w.Status || h.Reason != w.Reason || h.Message != w.Message || h.ObservedGeneration != w.ObservedGeneration {
			j.errorf("%s: the condition is %+v, and should be %+v", name, h, w)
		}
	}
}

// plain is an object's content as JSON has it, without what servers set.
func plain(o client.Object) map[string]any {
	data, err := json.Marshal(o)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	var out map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		return map[string]any{"error": err.Error()}
	}
	for _, field := range []string{"apiVersion", "kind", "status"} {
		delete(out, field)
	}
	if m, ok := out["metadata"].(map[string]any); ok {
		delete(m, "creationTimestamp")
	}
	return out
}

// differences are the fields of want that has does not have, or has with another value.
// Lists are compared as a whole.
func differences(at string, want, has any) []string {
	w, ok := want.(map[string]any)
	if !ok {
		if a, b := fmt.Sprint(want), fmt.Sprint(has); a != b {
			if l, ok := want.([]any); ok {
				return listDifferences(at, l, has)
			}
			return []string{fmt.Sprintf("%s is %s, and should be %s", at, b, a)}
		}
		return nil
	}
	h, _ := has.(map[string]any)
	var out []string
	for field, value := range w {
		if m, ok := value.(map[string]any); ok && len(m) == 0 {
			continue
		}
		out = append(out, differences(at+"."+field, value, h[field])...)
	}
	slices.Sort(out)
	return out
}

// listDifferences compares items one by one, because a server may add defaults to each.
func listDifferences(at string, want []any, has any) []string {
	h, _ := has.([]any)
	if len(h) != len(want) {
		return []string{fmt.Sprintf("%s has %d items, and should have %d: %v, and not %v", at, len(h), len(want), want, h)}
	}
	var out []string
	for i := range want {
		out = append(out, differences(fmt.Sprintf("%s[%d]", at, i), want[i], h[i])...)
	}
	return out
}
