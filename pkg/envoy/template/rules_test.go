// SPDX-License-Identifier: Apache-2.0

package template

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// TestRulesAreOfSomething: a name that is misspelled, or that a later Envoy gives up,
// would make a rule that never applies.
func TestRulesAreOfSomething(t *testing.T) {
	for name := range refusedMessages {
		if d, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
			t.Errorf("no message %s: %v", name, err)
		} else if _, ok := d.(protoreflect.MessageDescriptor); !ok {
			t.Errorf("%s is no message", name)
		}
	}
	for _, table := range []map[protoreflect.FullName]bool{addresses, clusterNames, harmless} {
		for name := range table {
			isField(t, name)
		}
	}
	for name := range refusedFields {
		isField(t, name)
	}
}

func isField(t *testing.T, name protoreflect.FullName) {
	t.Helper()
	if d, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
		t.Errorf("no field %s: %v", name, err)
	} else if _, ok := d.(protoreflect.FieldDescriptor); !ok {
		t.Errorf("%s is no field", name)
	}
}

// TestWhatTemplatesReach walks through everything that a template can say, and shows that
// each field that sounds like a file has been judged, and that nothing dangerous is there.
func TestWhatTemplatesReach(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(d protoreflect.MessageDescriptor)
	walk = func(d protoreflect.MessageDescriptor) {
		if seen[d.FullName()] || refusedMessages[d.FullName()] != "" || d.FullName() == "envoy.config.core.v3.ConfigSource" {
			return
		}
		seen[d.FullName()] = true
		for i := range d.Fields().Len() {
			fd := d.Fields().Get(i)
			if _, refused := refusedFields[fd.FullName()]; refused {
				continue
			}
			if m := fd.Message(); m != nil {
				if m.FullName() != "envoy.config.core.v3.Address" || addresses[fd.FullName()] {
					walk(m)
				}
			}
			if fd.Kind() == protoreflect.StringKind && namesFile(string(fd.Name())) && !harmless[fd.FullName()] {
				t.Errorf("%s sounds like the name of a file: give it a rule, or say that it is harmless", fd.FullName())
			}
		}
	}
	names := []string{
		"envoy.config.listener.v3.Listener", "envoy.config.cluster.v3.Cluster", "envoy.config.route.v3.RouteConfiguration",
		"envoy.config.endpoint.v3.ClusterLoadAssignment",
	}
	for name := range allowed {
		names = append(names, name)
	}
	for _, name := range names {
		m, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatal(err)
		}
		walk(m.Descriptor())
	}
	// These open connections, read files or load code by themselves.
	for _, name := range []protoreflect.FullName{
		"envoy.config.core.v3.Pipe", "envoy.config.core.v3.WatchedDirectory", "envoy.config.core.v3.GrpcService.GoogleGrpc",
		"envoy.config.core.v3.PathConfigSource", "envoy.config.core.v3.SocketOption", "envoy.config.core.v3.BindConfig",
	} {
		if seen[name] {
			t.Errorf("a template can reach %s", name)
		}
	}
	for name := range seen {
		d, _ := protoregistry.GlobalFiles.FindDescriptorByName(name)
		m, ok := d.(protoreflect.MessageDescriptor)
		for i := 0; ok && i < m.Fields().Len(); i++ {
			if fd := m.Fields().Get(i); fd.Message() != nil && fd.Message().FullName() == "envoy.config.core.v3.SocketAddress" && name != "envoy.config.core.v3.Address" {
				t.Errorf("%s is an address that nothing checks", fd.FullName())
			}
		}
	}
}
