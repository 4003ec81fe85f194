// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// maxProxyPods is the maximum number of proxy pods whose interfaces are in one object.
// It exceeds the maximum of replicas, because a rollout replaces pods.
const maxProxyPods = 4 * maxReplicas

// proxyStatus checks the status of a load balancer or a gateway proxy, which
// has been brought into its one shape before.
func proxyStatus(status, old *epic.ProxyStatus) field.ErrorList {
	errs := statusBase(status.ObservedGeneration, status.Conditions)
	errs = append(errs, serverOnly(statusPath.Child("quota-place"), status.QuotaPlace, old.QuotaPlace)...)
	errs = append(errs, tunnels(statusPath.Child("gue-tunnel-endpoints"), status.GUETunnelEndpoints, old.GUETunnelEndpoints)...)
	errs = append(errs, proxyInterfaces(statusPath.Child("proxy-if-info"), status.ProxyIfInfo)...)
	errs = append(errs, proxyPlacements(statusPath.Child("proxy-placements"), status.ProxyPlacements)...)
	errs = append(errs, envoyStatus(statusPath.Child("envoy"), status.Envoy)...)
	errs = append(errs, listenerStatuses(statusPath.Child("listeners"), status.Listeners)...)
	errs = append(errs, notNegative(statusPath.Child("proxy-ifindex"), status.ProxyIfIndex)...)
	if status.ProxyIfName != "" {
		errs = append(errs, interfaceName(statusPath.Child("proxy-ifname"), status.ProxyIfName)...)
	}
	return errs
}

func tunnels(path *field.Path, all, old map[string]epic.TunnelEndpoint) field.ErrorList {
	n := 0
	for _, t := range all {
		// A node without tunnels is an entry, too.
		n += max(1, len(t.EPICEndpoints))
	}
	if n > epic.MaxTunnelsPerObject {
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("an object may have at most %d tunnels: remove some, or use several objects", epic.MaxTunnelsPerObject))}
	}
	return entries(path, all, func(at *field.Path, node string, t epic.TunnelEndpoint) field.ErrorList {
		_, errs := address(at, node)
		return append(errs, tunnel(at, t, old[node])...)
	})
}

// tunnel checks the tunnels of one of the client nodes.
func tunnel(path *field.Path, t, old epic.TunnelEndpoint) field.ErrorList {
	var errs field.ErrorList
	first := epic.GUETunnelEndpoint{EPICAddress: t.EPICAddress, EPICPort: t.EPICPort}
	if p, ok := t.EPICEndpoints[t.EPICAddress]; ok {
		first = p
	}
	if t.TunnelID != first.TunnelID {
		errs = append(errs, field.Invalid(path.Child("tunnel-id"), t.TunnelID, "is assigned by the server: leave it out"))
	}
	errs = append(errs, tunnelPort(path.Child("epic-port"), t.EPICPort)...)
	return append(errs, entries(path.Child("epic-endpoints"), t.EPICEndpoints, func(at *field.Path, node string, p epic.GUETunnelEndpoint) field.ErrorList {
		_, errs := address(at, node)
		if p.EPICAddress != node {
			errs = append(errs, field.Invalid(at.Child("epic-address"), quoted(p.EPICAddress), "must be equal to the key: write "+quoted(node)+", or leave it out"))
		}
		errs = append(errs, tunnelPort(at.Child("epic-port"), p.EPICPort)...)
		return append(errs, serverOnly(at.Child("tunnel-id"), p.TunnelID, old.EPICEndpoints[node].TunnelID)...)
	})...)
}

func proxyInterfaces(path *field.Path, infos map[string]epic.ProxyInterfaceInfo) field.ErrorList {
	if errs := atMost(path, len(infos), maxProxyPods); len(errs) > 0 {
		return errs
	}
	return entries(path, infos, func(at *field.Path, pod string, info epic.ProxyInterfaceInfo) field.ErrorList {
		var errs field.ErrorList
		for _, msg := range validation.IsDNS1123Subdomain(pod) {
			errs = append(errs, field.Invalid(at, quoted(pod), "must be the name of a pod: "+msg))
		}
		_, more := addressOrNone(at.Child("epic-node-address"), info.EPICNodeAddress)
		errs = append(errs, more...)
		errs = append(errs, tunnelPort(at.Child("epic-port"), info.EPICPort)...)
		errs = append(errs, notNegative(at.Child("index"), info.Index)...)
		if info.Name != "" {
			errs = append(errs, interfaceName(at.Child("name"), info.Name)...)
		}
		return errs
	})
}

func proxyPlacements(path *field.Path, placements map[string]string) field.ErrorList {
	if errs := atMost(path, len(placements), maxProxyPods); len(errs) > 0 {
		return errs
	}
	return entries(path, placements, func(at *field.Path, name, node string) field.ErrorList {
		var errs field.ErrorList
		for _, msg := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, field.Invalid(at, quoted(name), "must be the name of a proxy: "+msg))
		}
		_, more := address(at, node)
		return append(errs, more...)
	})
}
