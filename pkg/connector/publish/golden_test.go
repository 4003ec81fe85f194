// SPDX-License-Identifier: Apache-2.0

package publish_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/connector/publish/publishtest"
	"github.com/acnodal/epic/test/tools/manifest"
)

var update = flag.Bool("update", false, "write the files that the results are compared with")

// input is a test's input: a client cluster, what EPIC has, and the connector's settings.
type input struct {
	config   *publish.Config
	cluster  *publishtest.Snapshot
	refused  map[string]publish.Refusal
	pending  bool
	versions map[string]string
	proxies  map[string]*epicv1.GWProxy
	lbs      map[string]*epicv1.LoadBalancer
	routes   map[string][]*epicv1.GWRoute
}

// settings are the first document of an input, where there is one of them.
type settings struct {
	Kind     string                     `json:"kind"`
	Group    *string                    `json:"group"`
	Groups   *[]string                  `json:"groups"`
	Pending  bool                       `json:"pending"`
	Versions map[string]string          `json:"versions"`
	Refused  map[string]publish.Refusal `json:"refused"`
}

func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, gatewayv1.Install, epicv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

// read reads the documents of an input. Objects get a UID of their kind and name, and a
// time of creation in the order of the file, unless they bring one.
func read(t *testing.T, data []byte) *input {
	t.Helper()
	in := &input{
		config:  &publish.Config{Cluster: "paris", Namespace: "epic-acme", Group: "sample", Groups: sets.New("sample", "fast")},
		cluster: &publishtest.Snapshot{},
		proxies: map[string]*epicv1.GWProxy{}, lbs: map[string]*epicv1.LoadBalancer{}, routes: map[string][]*epicv1.GWRoute{},
	}
	d := decoder(t)
	for document, err := range manifest.Documents(data) {
		if err != nil {
			t.Fatal(err)
		}
		var s settings
		if err := yaml.Unmarshal(document, &s); err == nil && s.Kind == "Settings" {
			in.pending, in.refused, in.versions = s.Pending, s.Refused, s.Versions
			if s.Group != nil {
				in.config.Group = *s.Group
			}
			if s.Groups != nil {
				in.config.Groups = sets.New(*s.Groups...)
			}
			continue
		}
		o, kind, err := d.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		m := o.(metav1.Object)
		if m.GetUID() == "" {
			m.SetUID(types.UID(strings.Trim(strings.ToLower(kind.Kind+"-"+m.GetNamespace()+"-"+m.GetName()), "-")))
		}
		if m.GetCreationTimestamp().Time.IsZero() {
			m.SetCreationTimestamp(metav1.NewTime(time.Date(2026, 1, 1, 0, 0, len(in.cluster.Objects), 0, time.UTC)))
		}
		if m.GetGeneration() == 0 {
			m.SetGeneration(1)
		}
		switch o := o.(type) {
		case *corev1.Secret:
			for key, value := range o.StringData {
				o.Data = withString(o.Data, key, value)
			}
			o.StringData = nil
			in.cluster.Objects = append(in.cluster.Objects, o)
		case *epicv1.GWProxy:
			in.proxies[o.Name] = o
		case *epicv1.LoadBalancer:
			in.lbs[o.Name] = o
		case *epicv1.GWRoute:
			in.routes[o.Spec.ClientRef.UID] = append(in.routes[o.Spec.ClientRef.UID], o)
		default:
			in.cluster.Objects = append(in.cluster.Objects, m)
		}
	}
	return in
}

// status is a status of the client cluster's, as the output shows it.
type status struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Status any    `json:"status"`
}

// results are everything that the package makes of an input, as documents in order.
func (in *input) results(t *testing.T) []byte {
	t.Helper()
	var documents []string
	add := func(o any) {
		documents = append(documents, text(t, o))
	}
	named := func(o metav1.Object) string { return strings.Trim(o.GetNamespace()+"/"+o.GetName(), "/") }
	secrets := map[string]*corev1.Secret{}
	keep := func(list []*corev1.Secret) {
		for _, s := range list {
			secrets[s.Name] = s
		}
	}
	at := metav1.NewTime(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	for _, class := range publishtest.All[*gatewayv1.GatewayClass](in.cluster) {
		if want := publish.Class(in.config, class, in.versions); want != nil {
			s := class.Status.DeepCopy()
			publish.MergeClass(s, want, at)
			s.SupportedFeatures = nil
			add(status{"GatewayClass", named(class), s})
		}
	}
	for _, gateway := range publishtest.All[*gatewayv1.Gateway](in.cluster) {
		name := publish.ProxyName(gateway)
		remote := publish.Remote{Proxy: in.proxies[name], Refused: in.refused[named(gateway)]}
		r := publish.Gateway(in.config, in.cluster, gateway, remote)
		if r == nil {
			continue
		}
		if remote.Proxy == nil && !in.pending && r.Proxy != nil && remote.Refused.Reason == "" {
			// EPIC takes it at once.
			remote.Proxy = r.Proxy.DeepCopy()
			if remote.Proxy.Spec.PublicAddress == "" {
				remote.Proxy.Spec.PublicAddress = "192.0.2.1"
			}
			remote.Proxy.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: metav1.ConditionTrue, Reason: "Programmed"}}
			r = publish.Gateway(in.config, in.cluster, gateway, remote)
		}
		if r.Proxy != nil {
			add(r.Proxy)
		}
		add(r.ServiceAccount)
		keep(r.Secrets)
		s := gateway.Status.DeepCopy()
		publish.MergeGateway(s, &r.Status, at)
		add(status{"Gateway", named(gateway), s})
		for _, set := range publishtest.All[*gatewayv1.ListenerSet](in.cluster) {
			if want, ok := r.ListenerSets[types.NamespacedName{Namespace: set.Namespace, Name: set.Name}]; ok {
				s := set.Status.DeepCopy()
				publish.MergeListenerSet(s, &want, at)
				add(status{"ListenerSet", named(set), s})
			}
		}
	}
	for _, route := range in.cluster.Routes() {
		r := route.Publish(in.config, in.cluster, publish.RemoteRoute{Routes: in.routes[string(route.GetUID())], Refused: in.refused[named(route)]})
		for _, o := range r.Routes {
			add(o)
		}
		keep(r.Secrets)
		s := route.Status.DeepCopy()
		publish.MergeRoute(s, r.Parents, at)
		add(status{string(route.Kind), named(route), s})
	}
	for _, policy := range publishtest.All[*gatewayv1.BackendTLSPolicy](in.cluster) {
		s := policy.Status.DeepCopy()
		publish.MergePolicy(s, publish.Policy(in.config, in.cluster, policy), at)
		add(status{"BackendTLSPolicy", named(policy), s})
	}
	for _, slice := range publishtest.All[*discoveryv1.EndpointSlice](in.cluster) {
		if o := publish.EndpointSlice(in.config, in.cluster, slice); o != nil {
			add(o)
		}
	}
	for _, service := range publishtest.All[*corev1.Service](in.cluster) {
		r := publish.Service(in.config, in.cluster, service, publish.Remote{LoadBalancer: in.lbs[publish.LoadBalancerName(service)], Refused: in.refused[named(service)]})
		if r == nil {
			continue
		}
		if r.LoadBalancer != nil {
			add(r.LoadBalancer)
		}
		for _, e := range r.Endpoints {
			add(e)
		}
		add(map[string]any{"kind": "Service", "name": named(service), "status": r.Status, "problem": r.Problem})
	}
	for _, name := range slices.Sorted(keysOf(secrets)) {
		s := secrets[name].DeepCopy()
		s.StringData = map[string]string{}
		for key := range s.Data {
			s.StringData[key] = "present"
		}
		s.Data = nil
		add(s)
	}
	return []byte("# Generated by go test -update; edit the input.\n" + strings.Join(documents, "---\n"))
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := read(t, expand(t, data))
			got := in.results(t)
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got); if it is right, run go test -update:\n%s", golden, diff)
			}
		})
	}
}

// The order in which the view lists objects decides nothing.
func TestOrder(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = expand(t, data)
		want := documents(read(t, data).results(t))
		for seed := range uint64(5) {
			in := read(t, data)
			r := rand.New(rand.NewPCG(seed, 1))
			r.Shuffle(len(in.cluster.Objects), func(i, j int) {
				o := in.cluster.Objects
				o[i], o[j] = o[j], o[i]
			})
			if diff := cmp.Diff(want, documents(in.results(t))); diff != "" {
				t.Fatalf("%s, seed %d: the order of objects matters:\n%s", file, seed, diff)
			}
		}
	}
}

// The certificates of listeners belong to the Gateway alone.
func TestRoutesNeedNoCertificates(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := read(t, expand(t, data))
		for _, gateway := range publishtest.All[*gatewayv1.Gateway](in.cluster) {
			route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: gateway.Namespace, Name: "route", UID: "route"}}
			route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(gateway.Name)}}
			for _, s := range publish.RouteOf(route).Publish(in.config, in.cluster, publish.RemoteRoute{}).Secrets {
				if s.Type == corev1.SecretTypeTLS {
					t.Errorf("%s: a route of the Gateway %s needs the certificate %s", file, gateway.Name, s.Name)
				}
			}
		}
	}
}

func documents(out []byte) []string {
	all := strings.Split(string(out[bytes.IndexByte(out, '\n')+1:]), "---\n")
	slices.Sort(all)
	return all
}
