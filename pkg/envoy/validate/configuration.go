// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// configuration returns a configuration with resources, in addition to those in the
// bootstrap of every proxy. If a resource can't be decoded, it returns the refusal
// instead.
func configuration(resources []*resource.Resource) (config []byte, refusal string, err error) {
	// No program listens on these sockets or connects to them.
	start := bootstrap.Config{NodeID: "epic-validate", NodeCluster: "epic-validate", XDSSocket: "xds.sock", AdminSocket: "admin.sock"}
	text, err := start.JSON()
	if err != nil {
		return nil, "", err
	}
	whole := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, whole); err != nil {
		return nil, "", err
	}
	static := whole.StaticResources
	for i, r := range resources {
		var m proto.Message
		switch r.Type {
		case resource.Cluster:
			c := &clusterv3.Cluster{}
			m, static.Clusters = c, append(static.Clusters, c)
		case resource.Listener:
			l := &listenerv3.Listener{}
			m, static.Listeners = l, append(static.Listeners, l)
		case resource.Route:
			m = &routev3.RouteConfiguration{}
		case resource.Secret, resource.Endpoint:
			continue
		}
		if err := proto.Unmarshal(r.Body, m); err != nil {
			return nil, "can't be decoded: " + err.Error(), nil //nolint:nilerr // the error is the result
		}
		switch m := m.(type) {
		case *routev3.RouteConfiguration:
			l, err := routeListener(m, i)
			if err != nil {
				return nil, "", err
			}
			static.Listeners = append(static.Listeners, l)
		case *listenerv3.Listener:
			impatient(m.ProtoReflect())
		}
	}
	config, err = proto.Marshal(whole)
	return config, "", err
}

// routeListener returns a listener with routes. Like routes delivered by RDS, they may
// name clusters that do not exist.
func routeListener(c *routev3.RouteConfiguration, i int) (*listenerv3.Listener, error) {
	c.ValidateClusters = wrapperspb.Bool(false)
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:     "check",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: c},
		HttpFilters:    []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:    fmt.Sprintf("epic-validate-%d", i),
		Address: pipe(fmt.Sprintf("@epic-validate-%d", i)),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, nil
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}
