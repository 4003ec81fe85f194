// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"encoding/json"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Bootstrap is what Envoy's first configuration depends on.
type Bootstrap struct {
	Identity proxyidentity.Identity
	// XDSSocket and AdminSocket are unix sockets: this program's, and Envoy's own.
	XDSSocket, AdminSocket string
}

type object = map[string]any

// DefaultBootstrap returns a first configuration that has Envoy get everything else from
// this program.
func DefaultBootstrap(b Bootstrap) ([]byte, error) {
	ads := object{"resource_api_version": "V3", "ads": object{}}
	pipe := func(path string) object { return object{"pipe": object{"path": path}} }
	return json.MarshalIndent(object{
		"node": object{
			"id":      b.Identity.Pod,
			"cluster": b.Identity.Namespace + "/" + b.Identity.Name,
		},
		"admin": object{"address": pipe(b.AdminSocket)},
		"dynamic_resources": object{
			"ads_config": object{
				"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
				"grpc_services": []object{{"envoy_grpc": object{"cluster_name": "epic-proxy"}}},
			},
			"cds_config": ads, "lds_config": ads,
		},
		"static_resources": object{"clusters": []object{{
			"name": "epic-proxy", "type": "STATIC", "connect_timeout": "1s",
			"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": object{"http2_protocol_options": object{}},
			}},
			"load_assignment": object{"cluster_name": "epic-proxy", "endpoints": []object{{
				"lb_endpoints": []object{{"endpoint": object{"address": pipe(b.XDSSocket)}}},
			}}},
		}}},
	}, "", "  ")
}
