// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
)

// coreVersion is the version of Kubernetes' core group.
var coreVersion = schema.GroupVersion{Version: "v1"}

// installCoreDiscovery serves an empty /api and /api/v1: a standalone server has no pods
// and no namespaces. Several clients read these paths first and fail if they are missing.
func (c CompletedConfig) installCoreDiscovery(server *genericapiserver.GenericAPIServer) {
	server.AggregatedLegacyDiscoveryGroupManager.AddGroupVersion(coreVersion.Group, apidiscoveryv2.APIVersionDiscovery{
		Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent,
		Version:   coreVersion.Version,
		Resources: []apidiscoveryv2.APIResourceDiscovery{},
	})
	addresses := discovery.DefaultAddresses{DefaultAddress: c.generic.ExternalAddress}
	root := discovery.NewLegacyRootAPIHandler(addresses, server.Serializer, genericapiserver.DefaultLegacyAPIPrefix)
	wrapped := aggregated.WrapAggregatedDiscoveryToHandler(root,
		server.AggregatedLegacyDiscoveryGroupManager, server.AggregatedLegacyDiscoveryGroupManager)
	server.Handler.GoRestfulContainer.Add(wrapped.GenerateWebService(genericapiserver.DefaultLegacyAPIPrefix, metav1.APIVersions{}))

	version := new(restful.WebService)
	version.Path(genericapiserver.DefaultLegacyAPIPrefix + "/" + coreVersion.Version)
	version.Doc("list the resources of the core group")
	empty := discovery.APIResourceListerFunc(func() []metav1.APIResource { return []metav1.APIResource{} })
	discovery.NewAPIVersionHandler(server.Serializer, coreVersion, empty).AddToWebService(version)
	server.Handler.GoRestfulContainer.Add(version)
}

// notFound responds to requests for unknown paths with a Status, like to requests for
// objects that do not exist. Clients read the reason from it.
func notFound(w http.ResponseWriter, r *http.Request) {
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "", "", 0, false)
	responsewriters.ErrorNegotiated(err, scheme.Codecs, coreVersion, w, r)
}
