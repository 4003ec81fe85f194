// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

var update = flag.Bool("update", false, "write testdata/*.out.yaml instead of comparing with them")

// Each testdata/NAME.in.yaml, which has objects that the API accepts, is translated to
// NAME.out.yaml, and a real Envoy accepts the result.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	envoy := startEnvoy(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			got := readWorld(t, file).translate(t)
			compare(t, strings.TrimSuffix(file, ".in.yaml")+".out.yaml", got)
			if err := envoy.Apply(unbound(t, got.set)); err != nil {
				t.Errorf("Envoy refuses it: %v", err)
			}
			// The order of objects decides nothing.
			again := readWorld(t, file)
			slices.Reverse(again.reps)
			slices.Reverse(again.routes)
			slices.Reverse(again.slices)
			if diff := cmp.Diff(printed(t, got), printed(t, again.translate(t))); diff != "" {
				t.Errorf("in another order of objects, the result differs (-this +other order):\n%s", diff)
			}
		})
	}
}

// startEnvoy starts an Envoy with the bootstrap of a proxy.
func startEnvoy(t testing.TB) *envoytest.Envoy {
	t.Helper()
	return envoytest.StartWith(t, func(ads, admin string) ([]byte, error) {
		c := bootstrap.Config{NodeID: "test", NodeCluster: "test", XDSSocket: ads, AdminSocket: admin}
		return c.JSON()
	})
}

func compare(t *testing.T, file string, got translation) {
	t.Helper()
	text := printed(t, got)
	if *update {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("another result than %s, which -update rewrites (-want +got):\n%s", file, diff)
	}
}

// printed is a translation as YAML.
func printed(t *testing.T, got translation) []byte {
	t.Helper()
	resources := map[string]map[string]any{}
	for _, r := range got.set {
		if resources[r.Type.String()] == nil {
			resources[r.Type.String()] = map[string]any{}
		}
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(decode(t, r))
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		if fields, ok := value.(map[string]any); ok {
			delete(fields, "name")
			delete(fields, "cluster_name")
		}
		resources[r.Type.String()][r.Name] = value
	}
	var problems []string
	for _, p := range got.Problems {
		problems = append(problems, p.Reason+": "+p.String())
	}
	text, err := yaml.Marshal(map[string]any{
		"problems": problems, "listeners": statuses(got.Listeners), "routes": statuses(got.Routes), "resources": resources,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// statuses is a value in a form that YAML shows well.
func statuses(v any) any {
	text, _ := json.Marshal(v)
	var out any
	_ = json.Unmarshal(text, &out)
	return out
}

func decode(t testing.TB, r *resource.Resource) proto.Message {
	t.Helper()
	message := map[resource.Type]proto.Message{
		resource.Secret: &tlsv3.Secret{}, resource.Cluster: &clusterv3.Cluster{}, resource.Endpoint: &endpointv3.ClusterLoadAssignment{},
		resource.Listener: &listenerv3.Listener{}, resource.Route: &routev3.RouteConfiguration{},
	}[r.Type]
	if err := proto.Unmarshal(r.Body, message); err != nil {
		t.Fatal(err)
	}
	return message
}

// unbound is a set whose listeners take no ports of this machine.
func unbound(t testing.TB, set resource.Set) resource.Set {
	t.Helper()
	out := resource.Set{}
	for k, r := range set {
		if l, ok := decode(t, r).(*listenerv3.Listener); ok {
			loopback(l)
			r, _ = resource.New(r.Type, r.Name, l, r.Sources...)
		}
		out[k] = r
	}
	return out
}
