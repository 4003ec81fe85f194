// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/pki/pkitest"
	"github.com/acnodal/epic/test/tools/manifest"
)

var codecs = func() serializer.CodecFactory {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict)
}()

// world is the objects of one test, all in one namespace.
type world struct {
	lb      *epicv1.LoadBalancer
	reps    []*epicv1.RemoteEndpoint
	proxy   *epicv1.GWProxy
	group   *epicv1.LBServiceGroup
	routes  []*epicv1.GWRoute
	slices  []*epicv1.GWEndpointSlice
	secrets map[string]*corev1.Secret
	// reach is what is known of tunnels, by client node.
	reach   map[string]string
	options translate.Options
	// now is when validity is judged.
	now time.Time
}

// readWorld reads objects that the API accepts, with its defaults.
func readWorld(t *testing.T, file string) *world {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseWorld(t, text)
}

// parseWorld is readWorld of a text.
func parseWorld(tb testing.TB, text []byte) *world {
	tb.Helper()
	w := &world{secrets: map[string]*corev1.Secret{}, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	for document, err := range manifest.Documents(text) {
		if err == nil {
			err = w.add(document)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return w
}

func (w *world) add(document []byte) error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return err
	}
	switch meta.Kind {
	case "Secret":
		secret := &corev1.Secret{}
		if err := yaml.UnmarshalStrict(document, secret); err != nil {
			return err
		}
		for k, v := range secret.StringData {
			if secret.Data == nil {
				secret.Data = map[string][]byte{}
			}
			secret.Data[k] = []byte(v)
		}
		if secret.Namespace == "" {
			secret.Namespace = "epic-acme"
		}
		w.secrets[secret.Name] = secret
		return nil
	case "Reach":
		var reach struct {
			metav1.TypeMeta `json:",inline"`
			Nodes           map[string]string `json:"nodes"`
		}
		err := yaml.UnmarshalStrict(document, &reach)
		w.reach = reach.Nodes
		return err
	}
	obj, _, err := codecs.UniversalDecoder(epicv1.SchemeGroupVersion).Decode(document, nil, nil)
	if err != nil {
		return err
	}
	return w.addObject(obj)
}

// addObject takes in an object after the API's own validation.
func (w *world) addObject(obj runtime.Object) error {
	if m, ok := obj.(metav1.Object); ok && m.GetNamespace() == "" {
		m.SetNamespace("epic-acme")
	}
	if errs := validate(obj); len(errs) > 0 {
		return fmt.Errorf("%T: %w", obj, errs.ToAggregate())
	}
	switch o := obj.(type) {
	case *epicv1.LoadBalancer:
		w.lb = o
	case *epicv1.RemoteEndpoint:
		w.reps = append(w.reps, o)
	case *epicv1.GWProxy:
		w.proxy = o
	case *epicv1.LBServiceGroup:
		w.group = o
	case *epicv1.GWRoute:
		w.routes = append(w.routes, o)
	case *epicv1.GWEndpointSlice:
		w.slices = append(w.slices, o)
	default:
		return fmt.Errorf("%T is none of the objects that are translated", o)
	}
	return nil
}

// validate is the API's validation of a new object, without the labels that the server
// sets.
func validate(obj runtime.Object) field.ErrorList {
	internal, err := defaulting.ConvertToVersion(obj, epic.SchemeGroupVersion)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	m := internal.(metav1.Object)
	labels := map[string]string{epic.OwningLBServiceGroupLabel: "sample", epic.OwningServicePrefixLabel: "default"}
	for k, v := range m.GetLabels() {
		labels[k] = v
	}
	m.SetLabels(labels)
	switch o := internal.(type) {
	case *epic.LoadBalancer:
		o.Spec.ServiceGroup = "sample"
		return validation.ValidateLoadBalancer(o)
	case *epic.RemoteEndpoint:
		return validation.ValidateRemoteEndpoint(o)
	case *epic.GWProxy:
		return validation.ValidateGWProxy(o)
	case *epic.LBServiceGroup:
		return validation.ValidateLBServiceGroup(o)
	case *epic.GWRoute:
		return validation.ValidateGWRoute(o)
	case *epic.GWEndpointSlice:
		return validation.ValidateGWEndpointSlice(o)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("no validation of %T", internal))}
}

// translation is a proxy with its endpoints.
type translation struct {
	*translate.Result
	set resource.Set
}

// translate translates the load balancer or gateway proxy of the world, with the
// endpoints of all backends.
func (w *world) translate(t testing.TB) translation {
	t.Helper()
	var r *translate.Result
	in := translate.EndpointsInput{Reach: w.reachOf}
	if w.lb != nil {
		r = translate.LoadBalancer(translate.LoadBalancerInput{LoadBalancer: w.lb, Group: w.group, Options: w.options})
		in.LoadBalancer, in.RemoteEndpoints = w.lb, w.reps
	} else {
		r = translate.Gateway(translate.GatewayInput{
			Proxy: w.proxy, Group: w.group, Routes: w.routes, Services: w.services(), Secrets: w.secrets, Now: w.now, Options: w.options,
		})
		in.Namespace, in.Slices = w.proxy.Namespace, w.slices
	}
	out := translation{Result: r, set: resource.Set{}}
	for _, resource := range r.Resources {
		if err := out.set.Add(resource); err != nil {
			t.Error(err)
		}
	}
	seen := map[translate.Problem]bool{}
	for i := range r.Backends {
		assignment, problems := r.Backends[i].Assignment(in)
		if err := out.set.Add(assignment); err != nil {
			t.Error(err)
		}
		for _, p := range problems {
			if !seen[p] {
				seen[p] = true
				r.Problems = append(r.Problems, p)
			}
		}
	}
	return out
}

// services are the Services of all slices, by UID.
func (w *world) services() map[string]*translate.Service {
	all := map[string][]*epicv1.GWEndpointSlice{}
	for _, slice := range w.slices {
		uid := endpoints.ServiceOf(slice)
		all[uid] = append(all[uid], slice)
	}
	services := map[string]*translate.Service{}
	for uid, slices := range all {
		services[uid] = translate.ServiceOf(slices)
	}
	return services
}

func (w *world) reachOf(node netip.Addr) translate.Reach {
	switch w.reach[node.String()] {
	case "Down":
		return translate.ReachDown
	case "Unknown":
		return translate.ReachUnknown
	}
	return translate.ReachUp
}

// loopback lets a listener take free ports of the loopback interface.
func loopback(l *listenerv3.Listener) {
	l.GetAddress().GetSocketAddress().Address = "127.0.0.1"
	l.GetAddress().GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{}
	l.AdditionalAddresses = nil
}

// testSecret returns a Secret with a certificate, its key, and the same certificate as an
// authority's.
func testSecret(name string) *corev1.Secret {
	return secretOf(name, nil)
}

// secretOf is testSecret with a given key, or a new one if it is nil.
func secretOf(name string, key crypto.Signer) *corev1.Secret {
	return secretFrom(name, key, func(*x509.Certificate) {})
}

// secretFrom is secretOf with changes of the certificate.
func secretFrom(name string, key crypto.Signer, change func(*x509.Certificate)) *corev1.Secret {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "*.example.com", "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	change(template)
	certificate, private, err := pkitest.SelfSigned(template, key)
	if err != nil {
		panic(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: name},
		Data:       map[string][]byte{"tls.crt": certificate, "tls.key": private, "ca.crt": certificate},
	}
}
