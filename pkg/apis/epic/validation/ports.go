// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	maxPort = 65535
	// maxPublicPorts is the maximum number of ports that one proxy publishes.
	maxPublicPorts = 128
)

func port(path *field.Path, n int32) field.ErrorList {
	return between(path, n, 1, maxPort)
}

// protocol checks a protocol that proxies can carry.
func protocol(path *field.Path, p corev1.Protocol) field.ErrorList {
	return oneOf(path, p, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// portNames checks the two names that a port may have. Published clients name a
// port after a Gateway's listener, whose name may have dots.
func portNames(path *field.Path, name, appProtocol string) field.ErrorList {
	var errs field.ErrorList
	if name != "" {
		errs = append(errs, dnsName(path.Child("name"), name)...)
	}
	if appProtocol != "" {
		if msgs := validation.IsQualifiedName(appProtocol); len(msgs) > 0 {
			errs = append(errs, field.Invalid(path.Child("appProtocol"), quoted(appProtocol), msgs[0]))
		}
	}
	return errs
}

// servicePorts checks the ports of a Service, in which each port and protocol
// appears once.
func servicePorts(path *field.Path, ports []epic.ServicePort) field.ErrorList {
	return publicPorts(path, ports, func(epic.ServicePort) string { return "" },
		"is already published: remove one of the two")
}

// listenerPorts checks the ports of a Gateway's listeners, several of which may
// share a port and protocol: requests tell them apart by their hostnames.
func listenerPorts(path *field.Path, ports []epic.ServicePort) field.ErrorList {
	return publicPorts(path, ports, func(p epic.ServicePort) string { return p.Name },
		"is already published under the same name: give each entry with the same port and protocol its own name, or remove one of the two")
}

// publicPorts checks the ports on which a service is published. No two of them
// have the same port, protocol and, as told by name, name.
func publicPorts(path *field.Path, ports []epic.ServicePort, name func(epic.ServicePort) string, repeated string) field.ErrorList {
	errs := atMost(path, len(ports), maxPublicPorts)
	if len(errs) > 0 {
		return errs
	}
	type key struct {
		port     int32
		protocol corev1.Protocol
		name     string
	}
	seen := map[key]bool{}
	for i, p := range ports {
		if full(errs) {
			break
		}
		at := path.Index(i)
		errs = append(errs, port(at.Child("port"), p.Port)...)
		errs = append(errs, protocol(at.Child("protocol"), p.Protocol)...)
		errs = append(errs, portNames(at, p.Name, p.AppProtocol)...)
		errs = append(errs, between(at.Child("nodePort"), p.NodePort, 0, maxPort)...)
		errs = append(errs, targetPort(at.Child("targetPort"), p.TargetPort)...)
		k := key{p.Port, p.Protocol, name(p)}
		if seen[k] {
			duplicate := field.Duplicate(at, fmt.Sprintf("%d/%s", p.Port, quoted(string(p.Protocol))))
			duplicate.Detail = repeated
			errs = append(errs, duplicate)
		}
		seen[k] = true
	}
	return errs
}

// targetPort checks a port of the tenant's pods. Go clients can't leave it out
// and send 0 instead.
func targetPort(path *field.Path, p *intstr.IntOrString) field.ErrorList {
	if p == nil {
		return nil
	}
	if p.Type == intstr.Int {
		return between(path, p.IntVal, 0, maxPort)
	}
	if msgs := validation.IsValidPortName(p.StrVal); len(msgs) > 0 {
		return field.ErrorList{field.Invalid(path, quoted(p.StrVal), "must be a port's number or name: "+msgs[0])}
	}
	return nil
}

// tunnelPort checks the port on which a gateway node takes in tunnels. An
// absent one has been given its default before.
func tunnelPort(path *field.Path, p epic.EndpointPort) field.ErrorList {
	if p == (epic.EndpointPort{}) {
		return nil
	}
	errs := port(path.Child("port"), p.Port)
	if p.Protocol != corev1.ProtocolUDP {
		errs = append(errs, field.Invalid(path.Child("protocol"), quoted(string(p.Protocol)), "must be UDP, because tunnels use UDP: leave it out"))
	}
	return append(errs, portNames(path, p.Name, p.AppProtocol)...)
}
