// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// maxProxyPods is how many proxy pods one object may have interfaces of. It is
// more than replicas allows, since pods come and go during a rollout.
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
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("one object may have at most %d tunnels: remove some, or use several objects", epic.MaxTunnelsPerObject))}
	}
	var errs field.ErrorList
	for _, node := range slices.Sorted(maps.Keys(all)) {
		if full(errs) {
			break
		}
		_, more := address(path.Key(quoted(node)), node)
		errs = append(errs, more...)
		errs = append(errs, tunnel(path.Key(quoted(node)), all[node], old[node])...)
	}
	return errs
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
	for _, node := range slices.Sorted(maps.Keys(t.EPICEndpoints)) {
		if full(errs) {
			break
		}
		at := path.Child("epic-endpoints").Key(quoted(node))
		p := t.EPICEndpoints[node]
		_, more := address(at, node)
		errs = append(errs, more...)
		if p.EPICAddress != node {
			errs = append(errs, field.Invalid(at.Child("epic-address"), quoted(p.EPICAddress), "must be the same as the key: write "+quoted(node)+", or leave it out"))
		}
		errs = append(errs, tunnelPort(at.Child("epic-port"), p.EPICPort)...)
		errs = append(errs, serverOnly(at.Child("tunnel-id"), p.TunnelID, old.EPICEndpoints[node].TunnelID)...)
	}
	return errs
}

func proxyInterfaces(path *field.Path, infos map[string]epic.ProxyInterfaceInfo) field.ErrorList {
	errs := atMost(path, len(infos), maxProxyPods)
	if len(errs) > 0 {
		return errs
	}
	for _, pod := range slices.Sorted(maps.Keys(infos)) {
		if full(errs) {
			break
		}
		at := path.Key(quoted(pod))
		info := infos[pod]
		for _, msg := range validation.IsDNS1123Subdomain(pod) {
			if full(errs) {
				break
			}
			errs = append(errs, field.Invalid(at, quoted(pod), "must be the name of a pod: "+msg))
		}
		_, more := addressOrNone(at.Child("epic-node-address"), info.EPICNodeAddress)
		errs = append(errs, more...)
		errs = append(errs, tunnelPort(at.Child("epic-port"), info.EPICPort)...)
		errs = append(errs, notNegative(at.Child("index"), info.Index)...)
		if info.Name != "" {
			errs = append(errs, interfaceName(at.Child("name"), info.Name)...)
		}
	}
	return errs
}

func proxyPlacements(path *field.Path, placements map[string]string) field.ErrorList {
	errs := atMost(path, len(placements), maxProxyPods)
	if len(errs) > 0 {
		return errs
	}
	for _, name := range slices.Sorted(maps.Keys(placements)) {
		if full(errs) {
			break
		}
		at := path.Key(quoted(name))
		for _, msg := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, field.Invalid(at, quoted(name), "must be the name of a proxy: "+msg))
		}
		_, more := address(at, placements[name])
		errs = append(errs, more...)
	}
	return errs
}
