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
	// ComponentName is the name of the server in logs, and of its component in
	// --feature-gates and --emulated-version.
	ComponentName = "epic"
	// BinaryVersion is the version of the API server's behavior to which
	// --emulated-version refers. It is not the release version.
	BinaryVersion = "1.0"
)

// ExtraConfig is the configuration of an EPIC server in addition to that of a generic
// server.
type ExtraConfig struct {
	// Claims is the part of the storage that all kinds share.
	Claims *claims.Backend
	// Standalone indicates that no kube-apiserver serves the rest of the Kubernetes API.
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
	// Nodes determines which node sent a request.
	Nodes *nodeidentity.Identifier
	// GatewayCluster knows the addresses of the gateway cluster's Nodes; it is nil
	// without a cluster.
	GatewayCluster reach.Cluster
	// AccountLimits are the storage limits of an account that sets none itself.
	AccountLimits usage.Limits
	// Placements determines on which node a proxy runs.
	Placements *placement.Checker
}

// Config is the configuration of a server before its defaults.
type Config struct {
	// GenericConfig is the configuration of the generic API server.
	GenericConfig *genericapiserver.RecommendedConfig
	// ExtraConfig is the configuration specific to EPIC.
	ExtraConfig ExtraConfig
}

// NewGenericConfig returns a generic configuration with everything that does not depend
// on options: the codecs and the OpenAPI documents.
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

// withVersion adds the server's version to responses. The kube-apiserver forwards the
// header.
func withVersion(next http.Handler) http.Handler {
	release := buildinfo.Release()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(skew.ServerHeader, release)
		next.ServeHTTP(w, r)
	})
}

// KubeVersion returns a function that maps a version of EPIC to the corresponding version
// of the generic API server's behavior.
func KubeVersion(binary *version.Version) func(*version.Version) *version.Version {
	own := version.MustParse(BinaryVersion)
	return func(from *version.Version) *version.Version {
		if from.Major() != own.Major() {
			return nil
		}
		// A minor version of EPIC corresponds to a minor version of Kubernetes.
		offset := int(from.Minor()) - int(own.Minor())
		mapped := binary.OffsetMinor(offset)
		if mapped.GreaterThan(binary) {
			return binary
		}
		return mapped
	}
}

// CompletedConfig is a configuration with defaults. Only Config.Complete creates it.
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

// New creates a server.
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
