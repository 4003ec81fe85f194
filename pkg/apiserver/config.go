// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	epicopenapi "github.com/acnodal/epic/pkg/apis/openapi"
	"github.com/acnodal/epic/pkg/apiserver/requestbounds"
	"github.com/acnodal/epic/pkg/apiserver/watchrights"
	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/registry/usage"
	"github.com/acnodal/epic/pkg/skew"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

const (
	// ComponentName is how the server calls itself in logs, and the component
	// of --feature-gates and --emulated-version that is its own.
	ComponentName = "epic"
	// BinaryVersion is the version of the API server's behavior that
	// --emulated-version goes by. It is not the release's number.
	BinaryVersion = "1.0"
)

// ExtraConfig is what an EPIC server has beyond a generic one.
type ExtraConfig struct {
	// Claims is the part of the storage that all kinds share.
	Claims *claims.Backend
	// Standalone is whether no kube-apiserver serves the rest of Kubernetes' API.
	Standalone bool
	// AuditInterval is the time between two comparisons of objects and claims;
	// 0 means never.
	AuditInterval time.Duration
	// NamespaceTerminating reports whether a namespace is being deleted.
	NamespaceTerminating func(ctx context.Context, name string) (bool, error)
	// TunnelKeys is the file with the master keys of tunnels, or nil.
	TunnelKeys *tunnelkey.File
	// TunnelKeyRotation is the age at which the server replaces the master key in its file; 0
	// for never.
	TunnelKeyRotation time.Duration
	// Nodes reports which node sent a request.
	Nodes *nodeidentity.Identifier
	// GatewayCluster knows the addresses of the gateway cluster's Nodes; nil
	// without a cluster.
	GatewayCluster reach.Cluster
	// AccountLimits are what an account may store unless it has limits of its
	// own.
	AccountLimits usage.Limits
	// Placements decides on which node a proxy runs.
	Placements *placement.Checker
}

// Config is the configuration of a server before its defaults.
type Config struct {
	// GenericConfig is that of the generic API server.
	GenericConfig *genericapiserver.RecommendedConfig
	// ExtraConfig is EPIC's own.
	ExtraConfig ExtraConfig
}

// NewGenericConfig returns a generic configuration that has what does not
// depend on options: the codecs and the OpenAPI documents.
func NewGenericConfig() *genericapiserver.RecommendedConfig {
	c := genericapiserver.NewRecommendedConfig(scheme.Codecs)
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(epicopenapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIConfig.Info.Title = "EPIC"
	c.OpenAPIConfig.Info.Version = "v1"
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(epicopenapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config.Info.Title = "EPIC"
	c.OpenAPIV3Config.Info.Version = "v1"
	c.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		api = watchrights.New(requestbounds.New(api, scheme.Codecs), c.Authorization.Authorizer, watchrights.Every)
		return withVersion(genericapiserver.DefaultBuildHandlerChain(api, c))
	}
	return c
}

// withVersion tells clients the server's version. The kube-apiserver passes the header on.
func withVersion(next http.Handler) http.Handler {
	release := buildinfo.Release()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(skew.ServerHeader, release)
		next.ServeHTTP(w, r)
	})
}

// KubeVersion returns the version of the generic API server's behavior that
// goes with a version of EPIC.
func KubeVersion(binary *version.Version) func(*version.Version) *version.Version {
	own := version.MustParse(BinaryVersion)
	return func(from *version.Version) *version.Version {
		if from.Major() != own.Major() {
			return nil
		}
		// One minor version of Kubernetes for one of EPIC.
		offset := int(from.Minor()) - int(own.Minor())
		mapped := binary.OffsetMinor(offset)
		if mapped.GreaterThan(binary) {
			return binary
		}
		return mapped
	}
}

// CompletedConfig is a configuration with its defaults, from Config.Complete only.
type CompletedConfig struct {
	generic genericapiserver.CompletedConfig
	extra   ExtraConfig
}

// Complete fills in defaults.
func (c *Config) Complete() CompletedConfig {
	return CompletedConfig{generic: c.GenericConfig.Complete(), extra: c.ExtraConfig}
}

// Server is an EPIC API server that is ready to run.
type Server struct {
	// GenericAPIServer serves the API.
	GenericAPIServer *genericapiserver.GenericAPIServer
}

// New puts a server together.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("epic-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("can't build the API server: %w", err)
	}
	if err := c.installAPI(generic); err != nil {
		return nil, err
	}
	if c.extra.Standalone {
		c.installCoreDiscovery(generic)
	}
	generic.Handler.NonGoRestfulMux.NotFoundHandler(http.HandlerFunc(notFound))
	if err := c.auditClaims(generic); err != nil {
		return nil, err
	}
	if err := c.reloadTunnelKeys(generic); err != nil {
		return nil, err
	}
	return &Server{GenericAPIServer: generic}, nil
}
