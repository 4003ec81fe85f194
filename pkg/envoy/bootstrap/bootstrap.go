// SPDX-License-Identifier: Apache-2.0

// Package bootstrap creates the configuration with which the Envoy of a proxy starts: the
// ADS source of all other configuration, and the limits that always apply. It does not
// change while an Envoy runs.
package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// maxRegexpProgram is the size of the largest regular expression that Envoy accepts. The
// API accepts epic.MaxRegexpProgram; the translation embeds some expressions in larger
// ones.
const maxRegexpProgram = 2 * epic.MaxRegexpProgram

// defaultMaxConnections is the maximum number of client connections of one Envoy.
const defaultMaxConnections = epic.MaxListenerConnections

// Config holds the settings in which the bootstraps of proxies differ.
type Config struct {
	// NodeID identifies the pod to the server, and NodeCluster the proxy: they appear in
	// logs and metrics, and prove nothing.
	NodeID, NodeCluster string
	// Metadata is sent with them.
	Metadata map[string]string
	// XDSSocket is the unix socket of the program that relays the server's stream. Set
	// exactly one of XDSSocket and Remote.
	XDSSocket string
	// Remote is the server, for an Envoy that connects to it directly.
	Remote *Remote
	// AdminSocket is the unix socket on which Envoy serves its admin interface.
	AdminSocket string
	// Metrics is the address on which Envoy serves its metrics, and nothing else. It
	// serves none if the address is the zero value. It must not be a public address.
	Metrics netip.AddrPort
	// MemoryLimitBytes is the memory limit of the Envoy. Near the limit, it refuses
	// requests and connections. 0 means no limit.
	MemoryLimitBytes uint64
	// MaxConnections is the maximum number of client connections of the Envoy; 0 means
	// 50,000.
	MaxConnections uint64
}

// Remote is a server to which Envoy connects with mutual TLS.
type Remote struct {
	// Host is a DNS name or an IP address.
	Host string
	Port uint16
	// ServerName is the name in the server's certificate.
	ServerName string
	// CertificateFile and AuthoritiesFile each contain a discovery response with a TLS
	// secret: the Envoy's certificate and the server's authorities. Envoy reloads them
	// when they are replaced.
	CertificateFile, AuthoritiesFile string
}

// JSON returns the configuration in the format of a file whose name ends with .json.
func (c *Config) JSON() ([]byte, error) {
	message, err := c.message()
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(message)
}

func (c *Config) message() (*bootstrapv3.Bootstrap, error) {
	switch {
	case c.NodeID == "" || c.NodeCluster == "":
		return nil, errors.New("a bootstrap must have a node ID and a node cluster")
	case c.AdminSocket == "":
		return nil, errors.New("a bootstrap must have a socket for the admin interface")
	case (c.XDSSocket == "") == (c.Remote == nil):
		return nil, errors.New("a bootstrap must have either a socket or an address of the xDS server")
	}
	metadata := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for k, v := range c.Metadata {
		metadata.Fields[k] = structpb.NewStringValue(v)
	}
	server, err := c.server()
	if err != nil {
		return nil, err
	}
	static := &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{server}}
	if c.Metrics.IsValid() {
		static.Clusters = append(static.Clusters, adminCluster(c.AdminSocket))
		static.Listeners = []*listenerv3.Listener{metricsListener(c.Metrics)}
	}
	level := structpb.NewNumberValue(maxRegexpProgram)
	return &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: c.NodeID, Cluster: c.NodeCluster, Metadata: metadata},
		Admin: &bootstrapv3.Admin{
			Address:               pipe(c.AdminSocket),
			IgnoreGlobalConnLimit: true,
		},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: resource.ADS(),
			CdsConfig: resource.ADS(),
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
				TransportApiVersion:       corev3.ApiVersion_V3,
				SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: serverCluster},
				}}},
			},
		},
		StaticResources: static,
		// Most clusters of a proxy with many get few requests: each worker only creates
		// those that it uses.
		ClusterManager: &bootstrapv3.ClusterManager{EnableDeferredClusterCreation: true},
		StatsConfig:    statistics(),
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{
			EnableDeferredCreationStats: true,
		},
		OverloadManager: overload(c.MemoryLimitBytes, cmp.Or(c.MaxConnections, defaultMaxConnections)),
		LayeredRuntime: &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
			Name: "static",
			LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
				"re2.max_program_size.error_level": level,
				"re2.max_program_size.warn_level":  level,
			}}},
		}}},
	}, nil
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: 0o600}}}
}

func socketAddress(host string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// String returns a description for logs.
func (c *Config) String() string { return fmt.Sprintf("%s of %s", c.NodeID, c.NodeCluster) }
