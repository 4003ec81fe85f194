// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry"
	"github.com/acnodal/epic/pkg/registry/reach"
)

// installAPI adds EPIC's API group to the server.
func (c CompletedConfig) installAPI(server *genericapiserver.GenericAPIServer) error {
	group, follow, err := registry.NewAPIGroupInfo(registry.Config{
		RESTOptionsGetter:    c.generic.RESTOptionsGetter,
		Claims:               c.extra.Claims,
		NamespaceTerminating: c.extra.NamespaceTerminating,
		TunnelKeys:           c.extra.TunnelKeys,
		Nodes:                c.extra.Nodes,
		Reach:                reach.Rules{Cluster: c.extra.GatewayCluster},
		Authorizer:           c.generic.Authorization.Authorizer,
		Limits:               c.extra.AccountLimits,
		Placements:           c.extra.Placements,
	})
	if err != nil {
		return fmt.Errorf("can't set up the storage of the API: %w", err)
	}
	if err := server.InstallAPIGroup(group); err != nil {
		return fmt.Errorf("can't install the API: %w", err)
	}
	if err := server.AddPostStartHook("claim-dns-names", func(hook genericapiserver.PostStartHookContext) error {
		go func() {
			if err := c.extra.Claims.AdoptDNSNames(hook, epic.ResourceLoadBalancers, epic.ResourceGWProxies); err != nil && hook.Err() == nil {
				klog.FromContext(hook).Error(err, "Could not claim the DNS names of objects that an earlier release wrote; the audit reports them")
			}
		}()
		return nil
	}); err != nil {
		return err
	}
	return server.AddPostStartHook("follow-account-usage", func(hook genericapiserver.PostStartHookContext) error {
		go follow(hook)
		return nil
	})
}

// auditClaims audits objects and claims periodically while the server runs. Any problem
// is a bug; it is logged and counted in a metric.
func (c CompletedConfig) auditClaims(server *genericapiserver.GenericAPIServer) error {
	if c.extra.AuditInterval <= 0 {
		return nil
	}
	return server.AddPostStartHook("audit-claims", func(hook genericapiserver.PostStartHookContext) error {
		go c.extra.Claims.RunAudits(hook, c.extra.AuditInterval)
		return nil
	})
}

// reloadTunnelKeys reloads the master keys when they change, and rotates those that the
// server created.
func (c CompletedConfig) reloadTunnelKeys(server *genericapiserver.GenericAPIServer) error {
	if c.extra.TunnelKeys == nil {
		return nil
	}
	return server.AddPostStartHook("reload-tunnel-keys", func(hook genericapiserver.PostStartHookContext) error {
		go c.extra.TunnelKeys.Run(hook)
		if c.extra.TunnelKeyRotation > 0 {
			go c.extra.TunnelKeys.Rotate(hook, c.extra.TunnelKeyRotation)
		}
		return nil
	})
}
