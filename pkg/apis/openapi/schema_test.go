// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// kinds are the objects that are served, and the answers of subresources.
var kinds = []runtime.Object{
	&v1.EPIC{}, &v1.Account{}, &v1.ServicePrefix{}, &v1.LBServiceGroup{}, &v1.LoadBalancer{}, &v1.RemoteEndpoint{},
	&v1.GWProxy{}, &v1.GWRoute{}, &v1.GWEndpointSlice{}, &v1.GatewayNode{}, &v1.ClaimAudit{}, &v1.TunnelKeys{},
}

// TestPatchKeys walks our types. kubectl makes strategic merge patches by the
// OpenAPI document, and the server applies them by the Go types: both must say the
// same of each list, and a list that has keys must be merged by a key that its
// entries have.
func TestPatchKeys(t *testing.T) {
	all := definitions()
	maps := 0
	for _, kind := range kinds {
		goType := reflect.TypeOf(kind).Elem()
		checkPatchKeys(t, goType.Name(), goType, all[modelPrefix+goType.Name()].Schema, map[reflect.Type]bool{}, &maps)
	}
	if maps < 10 {
		t.Errorf("only %d lists with keys were found", maps)
	}
}

func checkPatchKeys(t *testing.T, path string, goType reflect.Type, schema spec.Schema, seen map[reflect.Type]bool, maps *int) {
	t.Helper()
	all := definitions()
	if seen[goType] || !strings.HasSuffix(goType.PkgPath(), "pkg/apis/epic/v1") {
		return
	}
	seen[goType] = true
	meta, err := strategicpatch.NewPatchMetaFromStruct(reflect.New(goType).Interface())
	if err != nil {
		t.Fatal(err)
	}
	for i := range goType.NumField() {
		field := goType.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		at := path + "." + name
		property := schema.Properties[name]
		inside := field.Type
		for inside.Kind() == reflect.Pointer || inside.Kind() == reflect.Map {
			inside = inside.Elem()
		}
		if inside.Kind() == reflect.Slice && inside.Elem().Kind() != reflect.Uint8 {
			checkList(t, at, meta, name, property, maps)
			inside = inside.Elem()
		}
		if inside.Kind() == reflect.Struct {
			checkPatchKeys(t, at, inside, all[modelPrefix+inside.Name()].Schema, seen, maps)
		}
	}
}

func checkList(t *testing.T, at string, meta strategicpatch.PatchMetaFromStruct, name string, property spec.Schema, maps *int) {
	t.Helper()
	listType, _ := property.Extensions.GetString("x-kubernetes-list-type")
	strategy, _ := property.Extensions.GetString("x-kubernetes-patch-strategy")
	key, _ := property.Extensions.GetString("x-kubernetes-patch-merge-key")
	_, patch, err := meta.LookupPatchMetadataForSlice(name)
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	if goStrategy := strings.Join(patch.GetPatchStrategies(), ","); goStrategy != strategy || patch.GetPatchMergeKey() != key {
		t.Errorf("%s: the document says %q by %q, the Go type %q by %q", at, strategy, key, goStrategy, patch.GetPatchMergeKey())
	}
	keys, _ := property.Extensions.GetStringSlice("x-kubernetes-list-map-keys")
	switch listType {
	case "map":
		*maps++
		if strategy != "merge" || len(keys) == 0 || !strings.Contains(","+strings.Join(keys, ",")+",", ","+key+",") {
			t.Errorf("%s has the keys %q, and is patched by %q with the key %q", at, keys, strategy, key)
		}
		reference, _ := reference(*property.Items.Schema)
		for _, key := range append(keys, key) {
			if _, ok := definitions()[reference].Schema.Properties[key]; !ok {
				t.Errorf("%s: the entries have no field %q", at, key)
			}
		}
	case "set":
		if strategy != "merge" || key != "" {
			t.Errorf("%s is a set, and is patched by %q with the key %q", at, strategy, key)
		}
	case "atomic":
		if strategy != "" || key != "" {
			t.Errorf("%s is atomic, and is patched by %q with the key %q", at, strategy, key)
		}
	case "":
		// Lists of items are answers and are never patched.
		if name != "items" {
			t.Errorf("%s has no list type", at)
		}
	}
}

// TestNothingIsNull encodes objects with nothing in them, and with an empty entry in
// every list, as they are served: no value is null, because no schema allows it.
func TestNothingIsNull(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for _, kind := range kinds {
		name := reflect.TypeOf(kind).Elem().Name()
		if name == "TunnelKeys" {
			continue // the server makes it, and never without its lists
		}
		for _, text := range []string{`{}`, minimalWithEntries[name]} {
			if text == "" {
				continue
			}
			obj := reflect.New(reflect.TypeOf(kind).Elem()).Interface().(runtime.Object)
			if err := json.Unmarshal([]byte(text), obj); err != nil {
				t.Fatal(err)
			}
			scheme.Default(obj)
			served, err := json.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(served), ":null") {
				t.Errorf("%s: %s is served as %s", name, text, served)
			}
		}
	}
}

// minimalWithEntries have null where Go clients send it for an empty list or map.
var minimalWithEntries = map[string]string{
	"EPIC":            `{"status": {"nodes": {"192.0.2.1": {}}}}`,
	"LBServiceGroup":  `{"status": {"proxy-snapshot-versions": null}}`,
	"GWProxy":         `{"spec": {"public-ports": null, "gateway": {"listeners": null, "tls": {"frontend": {"default": {"validation": {}}, "perPort": [{"port": 1, "tls": {"validation": {}}}]}}}}}`,
	"GWRoute":         `{"spec": {"http": {"rules": null}, "tcp": {"rules": [{"backendRefs": null}]}}}`,
	"GWEndpointSlice": `{"spec": {"nodeAddresses": null, "endpoints": [{"addresses": null}], "ports": null}}`,
}
