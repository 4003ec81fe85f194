// SPDX-License-Identifier: Apache-2.0

// Package registry combines the storage of all kinds and provides it to the API server as
// one API group. Each kind is defined in its own package.
package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/account"
	"github.com/acnodal/epic/pkg/registry/claims"
	epicregistry "github.com/acnodal/epic/pkg/registry/epic"
	"github.com/acnodal/epic/pkg/registry/gatewaynode"
	"github.com/acnodal/epic/pkg/registry/gwendpointslice"
	"github.com/acnodal/epic/pkg/registry/gwproxy"
	"github.com/acnodal/epic/pkg/registry/gwroute"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/lbservicegroup"
	"github.com/acnodal/epic/pkg/registry/loadbalancer"
	"github.com/acnodal/epic/pkg/registry/proxy"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/registry/remoteendpoint"
	"github.com/acnodal/epic/pkg/registry/serviceprefix"
	"github.com/acnodal/epic/pkg/registry/tunnelkeys"
	"github.com/acnodal/epic/pkg/registry/usage"
)

// Config is what the storage requires from the server.
type Config struct {
	// RESTOptionsGetter returns the location and encoding of each kind in etcd.
	RESTOptionsGetter generic.RESTOptionsGetter
	// Claims is the part of the storage that all kinds share.
	Claims *claims.Backend
	// NamespaceTerminating reports whether a namespace is being deleted, with everything
	// in it.
	NamespaceTerminating func(ctx context.Context, name string) (bool, error)
	// TunnelKeys has the master keys of tunnels, and Nodes determines which node requests
	// a tunnel's key.
	TunnelKeys tunnelkeys.Masters
	Nodes      tunnelkeys.Identifier
	// Reach decides which addresses endpoints without a tunnel may have.
	Reach reach.Rules
	// Authorizer decides which users may give a proxy more than its group does. If it is
	// nil, everybody may.
	Authorizer authorizer.Authorizer
	// Limits are the storage limits of an account that sets none itself.
	Limits usage.Limits
	// Placements decides which node runs a proxy, and therefore gets its tunnels' keys.
	Placements tunnelkeys.Placements
}

// newREST is the constructor that every kind's package has.
type newREST func(*runtime.Scheme, generic.RESTOptionsGetter, kind.Previewer) (*kind.REST, *kind.StatusREST, error)

// entry is one kind.
type entry struct {
	kind, resource string
	newREST        newREST
	rules          claims.Rules
	// tunnels reports whether the objects have tunnels.
	tunnels bool
}

func (c Config) entries() []entry {
	proxies := proxy.Rules{Grants: proxy.Grants{Authorizer: c.Authorizer}}
	return []entry{
		{"EPIC", epic.ResourceEPICs, epicregistry.NewREST, epicregistry.Rules{}, false},
		{"Account", epic.ResourceAccounts, account.NewREST, account.Rules{}, false},
		{"ServicePrefix", epic.ResourceServicePrefixes, serviceprefix.NewREST, serviceprefix.Rules{}, false},
		{"LBServiceGroup", epic.ResourceLBServiceGroups, lbservicegroup.NewREST, lbservicegroup.Rules{}, false},
		{"LoadBalancer", epic.ResourceLoadBalancers, loadbalancer.NewREST, loadbalancer.Rules{Rules: proxies, NamespaceTerminating: c.NamespaceTerminating}, true},
		{"RemoteEndpoint", epic.ResourceRemoteEndpoints, remoteendpoint.NewREST, remoteendpoint.Rules{Reach: c.Reach}, false},
		{"GWProxy", epic.ResourceGWProxies, gwproxy.NewREST, gwproxy.Rules{Rules: proxies}, true},
		{"GWRoute", epic.ResourceGWRoutes, gwroute.NewREST, gwroute.NewRules(), false},
		{"GWEndpointSlice", epic.ResourceGWEndpointSlices, gwendpointslice.NewREST, gwendpointslice.NewRules(c.Reach), false},
		{"GatewayNode", epic.ResourceGatewayNodes, gatewaynode.NewREST, gatewaynode.Rules{}, false},
	}
}

// Resources maps each stored kind to its resource.
func Resources() map[schema.GroupKind]schema.GroupVersionResource {
	out := map[schema.GroupKind]schema.GroupVersionResource{}
	for _, e := range (Config{}).entries() {
		out[schema.GroupKind{Group: epic.GroupName, Kind: e.kind}] = v1.SchemeGroupVersion.WithResource(e.resource)
	}
	return out
}

// NewAPIGroupInfo builds the storage of all kinds. The function that it returns tracks
// what accounts store until its context ends; their limits are enforced while it runs.
func NewAPIGroupInfo(c Config) (*genericapiserver.APIGroupInfo, func(context.Context), error) {
	tracker := usage.NewTracker(c.Limits, storedSize)
	var sources []usage.Source
	kinds := claims.Kinds{}
	for _, e := range c.entries() {
		kinds[e.resource] = usage.Rules{Rules: e.rules, Resource: e.resource, Tracker: tracker}
	}
	getter := c.Claims.RESTOptionsGetter(c.RESTOptionsGetter, kinds, slim)
	storage := map[string]rest.Storage{}
	for _, e := range c.entries() {
		objects, status, err := e.newREST(scheme.Scheme, getter, c.Claims)
		if err != nil {
			return nil, nil, fmt.Errorf("build the storage of %s: %w", e.resource, err)
		}
		switch e.resource {
		case epic.ResourceEPICs, epic.ResourceServicePrefixes, epic.ResourceGatewayNodes:
			// These are never in an account's namespace.
		default:
			sources = append(sources, usage.Source{
				Resource: e.resource, Storage: objects.Store.Storage.Storage, Key: objects.KeyRootFunc(context.Background()),
				NewFunc: objects.NewFunc, NewListFunc: objects.NewListFunc,
			})
		}
		if claims.ShowsLastIDs(e.rules) {
			kind.ShowLastIDs(objects, status, c.Claims)
		}
		storage[e.resource], storage[e.resource+"/status"] = objects, status
		if e.tunnels {
			storage[e.resource+"/"+tunnelkeys.Subresource] = tunnelkeys.NewREST(e.resource, objects, c.TunnelKeys, c.Nodes, c.Placements)
		}
	}
	storage[epic.ResourceEPICs+"/audit"] = epicregistry.NewAuditREST(c.Claims)

	info := genericapiserver.NewDefaultAPIGroupInfo(epic.GroupName, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	info.VersionedResourcesStorageMap[v1.SchemeGroupVersion.Version] = storage
	return &info, func(ctx context.Context) { tracker.Run(ctx, sources) }, nil
}

// storedSize returns the size of an object in etcd, in bytes, where it is stored as
// protobuf by default.
func storedSize(obj runtime.Object) (int64, error) {
	out, err := slim(obj)
	if err != nil {
		return 0, err
	}
	if out == obj {
		if out, err = scheme.Scheme.UnsafeConvertToVersion(obj, v1.SchemeGroupVersion); err != nil {
			return 0, err
		}
	}
	sized, ok := out.(interface{ Size() int })
	if !ok {
		return 0, fmt.Errorf("%T has no size", out)
	}
	return int64(sized.Size()), nil
}

// slim removes the parts of an object that v1 shows twice: the copies in the spec of
// fields of the status.
func slim(obj runtime.Object) (runtime.Object, error) {
	switch obj.(type) {
	case *epic.LoadBalancer, *epic.GWProxy:
	default:
		return obj, nil
	}
	out, err := scheme.Scheme.UnsafeConvertToVersion(obj, v1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	v1.StripCopies(out)
	return out, nil
}
