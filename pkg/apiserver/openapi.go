// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"maps"

	openapicommon "k8s.io/kube-openapi/pkg/common"
	gatewayopenapi "sigs.k8s.io/gateway-api/pkg/generated/openapi"

	epicopenapi "github.com/acnodal/epic/pkg/generated/openapi"
)

// openAPIDefinitions returns the definitions of EPIC's types and of those of
// the Gateway API that they contain. Where both have a type, EPIC's stands.
func openAPIDefinitions(ref openapicommon.ReferenceCallback) map[string]openapicommon.OpenAPIDefinition {
	all := gatewayopenapi.GetOpenAPIDefinitions(ref)
	maps.Copy(all, epicopenapi.GetOpenAPIDefinitions(ref))
	return all
}
