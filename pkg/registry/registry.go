// SPDX-License-Identifier: Apache-2.0

// Package registry puts the storage of all kinds together and gives it to the
// API server as one API group. What a kind is like is in the package of that
// kind.
package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apiserver/scheme"
	"github.com/acnodal/epic/pkg/registry/account"
	"github.com/acnodal/epic/pkg/registry/claims"
	epicregistry "github.com/acnodal/epic/pkg/registry/epic"
	"github.com/acnodal/epic/pkg/registry/gwendpointslice"
	"github.com/acnodal/epic/pkg/registry/gwproxy"
	"github.com/acnodal/epic/pkg/registry/gwroute"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/lbservicegroup"
	"github.com/acnodal/epic/pkg/registry/loadbalancer"
	"github.com/acnodal/epic/pkg/registry/remoteendpoint"
	"github.com/acnodal/epic/pkg/registry/serviceprefix"
	"github.com/acnodal/epic/pkg/registry/tunnelkeys"
)

// Config is what the storage needs of the server.
type Config struct {
	// RESTOptionsGetter gives each kind its place and encoding in etcd.
	RESTOptionsGetter generic.RESTOptionsGetter
	// Claims is the part of the storage that all kinds share.
	Claims *claims.Backend
	// NamespaceTerminating says whether a namespace is being deleted, and with
	// it everything that it holds.
	NamespaceTerminating func(ctx context.Context, name string) (bool, error)
	// TunnelKeys has the master keys of tunnels, and Nodes tells which node asks
	// for a tunnel's key.
	TunnelKeys tunnelkeys.Masters
	Nodes      tunnelkeys.Identifier
}

// newREST is what every kind's package has.
type newREST func(*runtime.Scheme, generic.RESTOptionsGetter, kind.Previewer) (*kind.REST, *kind.StatusREST, error)

// entry is one kind.
type entry struct {
	kind, resource string
	newREST        newREST
	rules          claims.Rules
	// decorate completes objects that are shown, or is nil.
	decorate func(runtime.Object)
	// tunnels says whether the objects have tunnels.
	tunnels bool
}

func (c Config) entries() []entry {
	return []entry{
		{"EPIC", epicregistry.Resource, epicregistry.NewREST, epicregistry.Rules{}, epicregistry.ShowCurrent(c.Claims), false},
		{"Account", account.Resource, account.NewREST, account.Rules{}, account.ShowCurrent(c.Claims), false},
		{"ServicePrefix", serviceprefix.Resource, serviceprefix.NewREST, serviceprefix.Rules{}, nil, false},
		{"LBServiceGroup", lbservicegroup.Resource, lbservicegroup.NewREST, lbservicegroup.Rules{}, nil, false},
		{"LoadBalancer", loadbalancer.Resource, loadbalancer.NewREST, loadbalancer.Rules{NamespaceTerminating: c.NamespaceTerminating}, nil, true},
		{"RemoteEndpoint", remoteendpoint.Resource, remoteendpoint.NewREST, remoteendpoint.Rules{}, nil, false},
		{"GWProxy", gwproxy.Resource, gwproxy.NewREST, gwproxy.Rules{}, nil, true},
		{"GWRoute", gwroute.Resource, gwroute.NewREST, gwroute.NewRules(), nil, false},
		{"GWEndpointSlice", gwendpointslice.Resource, gwendpointslice.NewREST, gwendpointslice.NewRules(), nil, false},
	}
}

// Resources gives each kind that is stored its resource.
func Resources() map[schema.GroupKind]schema.GroupVersionResource {
	out := map[schema.GroupKind]schema.GroupVersionResource{}
	for _, e := range (Config{}).entries() {
		out[schema.GroupKind{Group: epic.GroupName, Kind: e.kind}] = v1.SchemeGroupVersion.WithResource(e.resource)
	}
	return out
}

// NewAPIGroupInfo builds the storage of all kinds.
func NewAPIGroupInfo(c Config) (*genericapiserver.APIGroupInfo, error) {
	kinds := claims.Kinds{}
	for _, e := range c.entries() {
		kinds[e.resource] = e.rules
	}
	getter := c.Claims.RESTOptionsGetter(c.RESTOptionsGetter, kinds, slim)
	storage := map[string]rest.Storage{}
	for _, e := range c.entries() {
		objects, status, err := e.newREST(scheme.Scheme, getter, c.Claims)
		if err != nil {
			return nil, fmt.Errorf("build the storage of %s: %w", e.resource, err)
		}
		objects.Decorator, status.Store.Decorator = e.decorate, e.decorate
		storage[e.resource], storage[e.resource+"/status"] = objects, status
		if e.tunnels {
			storage[e.resource+"/"+tunnelkeys.Subresource] = tunnelkeys.NewREST(e.resource, objects, c.TunnelKeys, c.Nodes)
		}
	}
	storage[epicregistry.Resource+"/audit"] = epicregistry.NewAuditREST(c.Claims)

	info := genericapiserver.NewDefaultAPIGroupInfo(epic.GroupName, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	info.VersionedResourcesStorageMap[v1.SchemeGroupVersion.Version] = storage
	return &info, nil
}

// slim takes out of an object what v1 shows twice: the copies in the spec of
// what the status has.
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
