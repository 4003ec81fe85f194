// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bytes"
	"math/rand"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicfuzzer "github.com/acnodal/epic/pkg/apis/epic/fuzzer"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

// TestRoundTrip sends random objects of every kind through JSON and protobuf,
// with and without conversion, and expects them back unchanged.
func TestRoundTrip(t *testing.T) {
	roundtrip.RoundTripProtobufTestForAPIGroup(t, install.Install, epicfuzzer.Funcs)
}

// TestRoundTripVersioned does it with objects of v1 as they are, without
// defaults: clients and copies of objects in caches see these.
func TestRoundTripVersioned(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, epicfuzzer.Funcs), rand.NewSource(rand.Int63()), codecs)
	roundtrip.RoundTripExternalTypes(t, scheme, codecs, fill, nil)
}

// TestRoundTripUnstructured does it through the untyped objects that
// server-side apply works on.
func TestRoundTripUnstructured(t *testing.T) {
	// The options of requests are registered in every versioned group and have
	// no internal form.
	options := sets.New(
		v1.SchemeGroupVersion.WithKind("CreateOptions"),
		v1.SchemeGroupVersion.WithKind("PatchOptions"),
		v1.SchemeGroupVersion.WithKind("UpdateOptions"),
	)
	roundtrip.RoundtripToUnstructured(t, newScheme(), epicfuzzer.Funcs, nil, options)
}

// TestRoundTripYAML does it through YAML, strictly.
func TestRoundTripYAML(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	yaml := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme,
		jsonserializer.SerializerOptions{Yaml: true, Strict: true})
	codec := codecs.CodecForVersions(yaml, yaml, v1.SchemeGroupVersion, epic.SchemeGroupVersion)
	fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, epicfuzzer.Funcs), rand.NewSource(rand.Int63()), codecs)

	for kind, goType := range scheme.KnownTypes(epic.SchemeGroupVersion) {
		if roundtrip.GlobalNonRoundTrippableTypes().Has(kind) {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			for range *roundtrip.FuzzIters {
				object := reflect.New(goType).Interface().(runtime.Object)
				fill.Fill(object)
				var text bytes.Buffer
				if err := codec.Encode(object, &text); err != nil {
					t.Fatal(err)
				}
				back, err := runtime.Decode(codec, text.Bytes())
				if err != nil {
					t.Fatalf("%v in:\n%s", err, text.String())
				}
				if !apiequality.Semantic.DeepEqual(object, back) {
					t.Fatalf("came back as %#v from:\n%s", back, text.String())
				}
			}
		})
	}
}

// TestRegistered checks that every kind and its list are registered in both
// forms, and that what is stored nowhere is registered without one.
func TestRegistered(t *testing.T) {
	scheme := newScheme()
	for _, kind := range []string{
		"EPIC", "Account", "ServicePrefix", "LBServiceGroup", "LoadBalancer",
		"RemoteEndpoint", "GWProxy", "GWRoute", "GWEndpointSlice", "GatewayNode",
	} {
		for _, name := range []string{kind, kind + "List"} {
			if !scheme.Recognizes(v1.SchemeGroupVersion.WithKind(name)) {
				t.Errorf("%s is not registered in v1", name)
			}
			if !scheme.Recognizes(epic.SchemeGroupVersion.WithKind(name)) {
				t.Errorf("%s is not registered in the internal version", name)
			}
		}
	}
	for _, name := range []string{"ClaimAudit", "TunnelKeys"} {
		if !scheme.Recognizes(v1.SchemeGroupVersion.WithKind(name)) {
			t.Errorf("%s is not registered in v1", name)
		}
	}
}
