// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// confinement checks messages, and changes all their configuration sources to ADS.
type confinement struct {
	// clusters, routes and secrets hold the names that may be referred to.
	clusters, routes, secrets map[string]bool
	refused                   []fieldError
}

func (c *confinement) refuse(path, format string, args ...any) {
	if len(c.refused) < maxRefusals {
		c.refused = append(c.refused, fieldError{path, fmt.Sprintf(format, args...)})
	}
}

// check checks a message and everything in it.
func (c *confinement) check(m proto.Message) []fieldError {
	c.refused = nil
	c.message("", m.ProtoReflect())
	if len(c.refused) == 0 {
		c.valid("", m)
	}
	return c.refused
}

// valid applies the constraints declared in Envoy's API.
func (c *confinement) valid(path string, m proto.Message) {
	if v, ok := m.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			c.refuse(path, "breaks a rule of Envoy's API: %v: correct it", err)
		}
	}
}

func (c *confinement) message(path string, m protoreflect.Message) {
	switch typed := m.Interface().(type) {
	case *anypb.Any:
		c.extension(path, typed)
		return
	case *corev3.ConfigSource:
		c.configSource(path, typed)
		return
	}
	if why, ok := refusedMessages[m.Descriptor().FullName()]; ok {
		c.refuse(path, "%s", why)
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		at := join(path, string(fd.Name()))
		if why, ok := refusedFields[fd.FullName()]; ok {
			c.refuse(at, "%s", why)
			continue
		}
		c.field(at, fd, m.Get(fd))
	}
}

func (c *confinement) field(path string, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case fd.IsMap():
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			at := fmt.Sprintf("%s[%q]", path, k.String())
			c.text(at, k.String())
			c.value(at, fd.MapValue(), v)
			return true
		})
	case fd.IsList():
		for i := range v.List().Len() {
			c.value(fmt.Sprintf("%s[%d]", path, i), fd, v.List().Get(i))
		}
	default:
		c.value(path, fd, v)
	}
}

func (c *confinement) value(path string, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if fd.Message().FullName() == "envoy.config.core.v3.Address" && !addresses[fd.FullName()] {
			c.refuse(path, "an address may only be that of a listener or an endpoint: leave it out")
			return
		}
		c.message(path, v.Message())
	case protoreflect.StringKind:
		c.text(path, v.String())
		c.name(path, fd, v.String())
	case protoreflect.BytesKind:
		c.text(path, string(v.Bytes()))
	default:
	}
}

// text rejects commands that Envoy would replace by data of other proxies.
func (c *confinement) text(path, s string) {
	for _, command := range []string{"%ENVIRONMENT", "%FILE_CONTENT", "%SECRET"} {
		if strings.Contains(strings.ToUpper(s), command) {
			c.refuse(path, "the command operator %s%% reads data of the gateway: remove it", command)
		}
	}
}

// name checks a text that is a name.
func (c *confinement) name(path string, fd protoreflect.FieldDescriptor, s string) {
	full, name := fd.FullName(), string(fd.Name())
	switch {
	case s == "":
	case full == "envoy.extensions.access_loggers.file.v3.FileAccessLog.path":
		if s != "/dev/stdout" && s != "/dev/stderr" {
			c.refuse(path, "an access log can't be written to the file %.200q: use /dev/stdout or /dev/stderr", s)
		}
	case full == "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig.name":
		if !c.secrets[s] {
			c.refuse(path, "the template has no usable secret %.200q: add it to envoyResources.secrets, with the name of a Secret in the proxy's namespace", s)
		}
	case full == "envoy.extensions.filters.network.http_connection_manager.v3.Rds.route_config_name":
		if !c.routes[s] {
			c.refuse(path, "the template has no route configuration %.200q: add it to envoyResources.routes", s)
		}
	case clusterNames[full] || name == "cluster" || name == "cluster_name" || strings.HasSuffix(name, "_cluster"):
		if !c.clusters[s] {
			c.refuse(path, "the proxy has no cluster %.200q: use the name of a backend of its routes", s)
		}
	case namesFile(name) && !harmless[full]:
		c.refuse(path, "the field may name a file or a socket of the gateway: remove it")
	}
}

// namesFile reports whether a field name suggests that it contains a file name. Fields
// that are not known to be harmless are refused, including new ones.
func namesFile(name string) bool {
	for _, word := range []string{"path", "file", "directory", "socket", "pipe", "command", "program", "environment", "netns", "descriptor_bin"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// extension checks the content of an extension.
func (c *confinement) extension(path string, packed *anypb.Any) {
	if why := refusedExtension(packed.GetTypeUrl()); why != "" {
		c.refuse(path, "%s", why)
		return
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		c.refuse(path, "can't be decoded: %v: correct it", err)
		return
	}
	before := len(c.refused)
	c.message(path, inner.ProtoReflect())
	if len(c.refused) > before {
		return
	}
	c.valid(path, inner)
	// Configuration sources inside may have been replaced.
	if err := anypb.MarshalFrom(packed, inner, proto.MarshalOptions{Deterministic: true}); err != nil {
		c.refuse(path, "can't be encoded: %v: use plain text", err)
	}
}

// originalServers holds the clusters by which templates of earlier versions name the
// configuration servers.
var originalServers = map[string]bool{"eds-server": true, "xds_cluster": true, "ads_cluster": true}

// configSource changes a configuration source of an earlier version to ADS.
func (c *confinement) configSource(path string, s *corev3.ConfigSource) {
	const remedy = "configuration comes from the operator only: write ads: {}"
	switch from := s.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads, nil:
	case *corev3.ConfigSource_ApiConfigSource:
		services := from.ApiConfigSource.GetGrpcServices()
		if len(services) == 0 || len(from.ApiConfigSource.GetClusterNames()) > 0 {
			c.refuse(join(path, "api_config_source"), remedy)
			return
		}
		for i, service := range services {
			if name := service.GetEnvoyGrpc().GetClusterName(); !originalServers[name] {
				c.refuse(fmt.Sprintf("%s.api_config_source.grpc_services[%d]", path, i), "the server is not eds-server or xds_cluster; "+remedy)
				return
			}
		}
	case *corev3.ConfigSource_Self:
		c.refuse(join(path, "self"), remedy)
		return
	default:
		c.refuse(join(path, "path_config_source"), "a file of the gateway can't be read; "+remedy)
		return
	}
	timeout := s.GetInitialFetchTimeout()
	proto.Reset(s)
	proto.Merge(s, resource.ADS())
	s.InitialFetchTimeout = timeout
}
