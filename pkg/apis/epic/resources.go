// SPDX-License-Identifier: Apache-2.0

package epic

// The plural names of the kinds, as URLs and RBAC rules have them.
const (
	ResourceEPICs            = "epics"
	ResourceAccounts         = "accounts"
	ResourceServicePrefixes  = "serviceprefixes"
	ResourceLBServiceGroups  = "lbservicegroups"
	ResourceLoadBalancers    = "loadbalancers"
	ResourceRemoteEndpoints  = "remoteendpoints"
	ResourceGWProxies        = "gwproxies"
	ResourceGWRoutes         = "gwroutes"
	ResourceGWEndpointSlices = "gwendpointslices"
	ResourceGatewayNodes     = "gatewaynodes"
)
