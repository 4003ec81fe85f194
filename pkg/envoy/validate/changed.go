// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Fields of a RouteConfiguration and of a VirtualHost that lead to routes.
const (
	fieldHosts  = protowire.Number(2)
	fieldRoutes = protowire.Number(3)
)

// Changed returns the part of a route configuration that has to be checked if Envoy
// accepts an earlier version of it: the routes that are not in that version. So the cost
// of a change of one route among a thousand is that of one route. The result is nil if
// all routes are in that version, and the whole configuration if more than routes
// changed. Both must be in the deterministic form of package resource.
func Changed(accepted, r *resource.Resource) *resource.Resource {
	if r.Type != resource.Route || accepted == nil || accepted.Type != r.Type {
		return r
	}
	before, hostsBefore, ok := split(accepted.Body, fieldHosts)
	now, hosts, okNow := split(r.Body, fieldHosts)
	if !ok || !okNow || !bytes.Equal(before, now) || len(hosts) != len(hostsBefore) {
		return r
	}
	body, changed := now, false
	for i, host := range hosts {
		restBefore, routesBefore, ok := split(hostsBefore[i], fieldRoutes)
		rest, routes, okNow := split(host, fieldRoutes)
		if !ok || !okNow || !bytes.Equal(restBefore, rest) {
			return r
		}
		known := make(map[string]bool, len(routesBefore))
		for _, route := range routesBefore {
			known[string(route)] = true
		}
		kept, some := rest, false
		for _, route := range routes {
			if !known[string(route)] {
				kept, some = appendField(kept, fieldRoutes, route), true
			}
		}
		if some {
			body, changed = appendField(body, fieldHosts, kept), true
		}
	}
	if !changed {
		return nil
	}
	return resource.Raw(r.Type, r.Name, body, r.Sources...)
}

func appendField(b []byte, n protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), value)
}

// split returns the values of a repeated message field of an encoded message, and the
// rest of the message. It returns false if the message can't be decoded.
func split(message []byte, field protowire.Number) (rest []byte, values [][]byte, ok bool) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, nil, false
		}
		length := protowire.ConsumeFieldValue(n, kind, message[size:])
		if length < 0 {
			return nil, nil, false
		}
		if n == field && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[size:])
			values = append(values, value)
		} else {
			rest = append(rest, message[:size+length]...)
		}
		message = message[size+length:]
	}
	return rest, values, true
}
