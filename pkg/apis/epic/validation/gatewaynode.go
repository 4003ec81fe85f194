// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

const (
	// maxTunnelStates is the maximum size of the two sets of tunnel IDs together, in bytes.
	// A hundred thousand IDs that do not follow each other take less than 420,000.
	maxTunnelStates = 640 << 10
	// maxDownTunnels is the maximum number of tunnels that are listed for users.
	maxDownTunnels = 50
)

// ValidateGatewayNode checks a new object.
func ValidateGatewayNode(obj *epic.GatewayNode) field.ErrorList {
	errs := inConfigNamespace(&obj.ObjectMeta, "a gateway node")
	named, err := epic.GatewayNodeAddress(obj.Name)
	if err != nil {
		return append(errs, field.Invalid(metaPath.Child("name"), quoted(obj.Name), err.Error()))
	}
	path := specPath.Child("address")
	a, more := address(path, obj.Spec.Address)
	errs = append(errs, more...)
	if len(more) == 0 && a != named {
		errs = append(errs, field.Invalid(path, obj.Spec.Address, fmt.Sprintf("must be %s, as in the object's name: leave it out, or name the object %s", named, epic.GatewayNodeName(a))))
	}
	return errs
}

// ValidateGatewayNodeUpdate checks a change of an object.
func ValidateGatewayNodeUpdate(obj, old *epic.GatewayNode) field.ErrorList {
	return unchanged(specPath.Child("address"), obj.Spec.Address, old.Spec.Address, "leave it out, or create the object of the other node")
}

// ValidateGatewayNodeStatusUpdate checks a change of an object's status.
func ValidateGatewayNodeStatusUpdate(obj, _ *epic.GatewayNode) field.ErrorList {
	s := &obj.Status
	errs := statusBase(s.ObservedGeneration, s.Conditions)
	errs = append(errs, atMost(statusPath.Child("conditions"), len(s.Conditions), maxNodeConditions)...)
	errs = append(errs, word(statusPath.Child("node-name"), s.NodeName, maxName)...)
	errs = append(errs, word(statusPath.Child("version"), s.Version, maxVersion)...)
	negative := false
	for _, number := range []struct {
		name string
		n    int32
	}{{"tunnels", s.Tunnels}, {"tunnels-up", s.TunnelsUp}, {"tunnels-down", s.TunnelsDown}} {
		errs = append(errs, notNegative(statusPath.Child(number.name), number.n)...)
		negative = negative || number.n < 0
	}
	if known := int64(s.TunnelsUp) + int64(s.TunnelsDown); !negative && known > int64(s.Tunnels) {
		errs = append(errs, field.Invalid(statusPath.Child("tunnels"), s.Tunnels,
			fmt.Sprintf("is less than tunnels-up and tunnels-down together (%d), which it must include: correct it", known)))
	}
	if s.TunnelStates != nil {
		errs = append(errs, tunnelStates(statusPath.Child("tunnel-states"), s.TunnelStates)...)
	}
	errs = append(errs, bgpPeersStatus(statusPath.Child("bgp-peers"), s.BGPPeers)...)
	errs = append(errs, notNegative(statusPath.Child("announced-routes"), s.AnnouncedRoutes)...)
	errs = append(errs, notNegative(statusPath.Child("layer2-addresses"), s.Layer2Addresses)...)
	return append(errs, downTunnels(statusPath.Child("down-tunnels"), s.DownTunnels)...)
}

func tunnelStates(path *field.Path, states *epic.TunnelStates) field.ErrorList {
	if n := len(states.Up) + len(states.Down); n > maxTunnelStates {
		return field.ErrorList{field.Invalid(path, fmt.Sprintf("%d bytes", n), fmt.Sprintf("up and down have more than %d bytes in total: leave out some tunnels, whose state is then unknown", maxTunnelStates))}
	}
	var errs field.ErrorList
	read := func(name string, b []byte) idset.Set {
		s, err := idset.Decode(b)
		if err != nil {
			errs = append(errs, field.Invalid(path.Child(name), fmt.Sprintf("%d bytes", len(b)), err.Error()))
		}
		return s
	}
	if up, down := read("up", states.Up), read("down", states.Down); up.Overlaps(down) {
		errs = append(errs, field.Invalid(path.Child("down"), down.String(), "contains a tunnel that is also in up: remove it from one of the two"))
	}
	return errs
}

func downTunnels(path *field.Path, all []epic.DownTunnel) field.ErrorList {
	if errs := atMost(path, len(all), maxDownTunnels); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	seen := map[int32]bool{}
	for i := range all {
		if full(errs) {
			break
		}
		at, tunnel := path.Index(i), &all[i]
		switch id := tunnel.TunnelID; {
		case id < epic.MinID:
			errs = append(errs, field.Invalid(at.Child("tunnel-id"), id, fmt.Sprintf("must be the ID of a tunnel, from %d to %d", epic.MinID, epic.MaxID)))
		case seen[id]:
			errs = append(errs, field.Duplicate(at.Child("tunnel-id"), id))
		}
		seen[tunnel.TunnelID] = true
		_, more := addressOrNone(at.Child("tenant-node"), tunnel.TenantNode)
		errs = append(errs, more...)
	}
	return errs
}
