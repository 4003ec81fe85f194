// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Fields of a RouteConfiguration and of a VirtualHost, which are assembled in the order
// of their numbers from encoded parts.
const (
	fieldVirtualHosts = protowire.Number(2)

	fieldHostName = protowire.Number(1)
	fieldDomains  = protowire.Number(2)
	fieldRoutes   = protowire.Number(3)
)

// virtualHost is a hostname with its encoded routes.
type virtualHost struct {
	name   string
	routes [][]byte
}

// misdirected is the route for hostnames of listeners with separate connections.
var misdirected = func() []byte {
	body, err := encode(&routev3.Route{Name: "misdirected", Match: anyRequest(), Action: respond(statusMisdirected)})
	if err != nil {
		panic(err) // a constant
	}
	return body
}()

// putRoutes adds a route configuration. Its body is the encoding of the whole message,
// but most of its routes were encoded by an earlier translation.
func (g *gateway) putRoutes(name string, hosts []virtualHost, headers []*corev3.HeaderValueOption, sources []resource.Source) {
	head, err := encode(&routev3.RouteConfiguration{Name: name})
	if err == nil {
		head, err = appendHosts(head, hosts)
	}
	var tail []byte
	if err == nil {
		tail, err = encode(&routev3.RouteConfiguration{IgnorePortInHostMatching: true, ValidateClusters: wrapperspb.Bool(false), ResponseHeadersToAdd: headers})
	}
	if err == nil {
		err = g.resources.Add(resource.Raw(resource.Route, name, append(head, tail...), sources...))
	}
	if err != nil {
		g.notEncodable(resource.Route, name, err, sources)
	}
}

func appendHosts(body []byte, hosts []virtualHost) ([]byte, error) {
	size := 0
	for _, h := range hosts {
		size += 2*len(h.name) + 32
		for _, r := range h.routes {
			size += len(r) + 6
		}
	}
	body = slices.Grow(body, size)
	var host []byte
	for _, h := range hosts {
		if !utf8.ValidString(h.name) {
			return nil, fmt.Errorf("the hostname %q is not valid text", h.name)
		}
		host = appendField(host[:0], fieldHostName, []byte(statisticName(h.name)))
		host = appendField(host, fieldDomains, []byte(h.name))
		for _, r := range h.routes {
			host = appendField(host, fieldRoutes, r)
		}
		body = appendField(body, fieldVirtualHosts, host)
	}
	return body, nil
}

func appendField(body []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(body, field, protowire.BytesType), value)
}

func encode(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}
