// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// notKept are the paths at which the server ignores what a client sends.
var notKept = []string{
	".spec.metadata.",
	".spec.gue-tunnel-endpoints.",
	".spec.proxy-if-info.",
}

// TestClientsObjects reads objects as published clients write them: with the
// zero values that their Go types could not leave out, and with fields that the
// server drops. It reads them strictly, turns them into the internal form and
// back, and expects every value that means something to be there still.
func TestClientsObjects(t *testing.T) {
	files, err := filepath.Glob("testdata/clients/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 11 {
		t.Fatalf("only %d samples", len(files))
	}
	codecs := serializer.NewCodecFactory(newScheme(), serializer.EnableStrict)
	decoder := codecs.UniversalDecoder(epic.SchemeGroupVersion)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			object, err := runtime.Decode(decoder, text)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := runtime.Encode(codecs.LegacyCodec(v1.SchemeGroupVersion), object)
			if err != nil {
				t.Fatal(err)
			}
			var sent, kept any
			if err := json.Unmarshal(text, &sent); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(encoded, &kept); err != nil {
				t.Fatal(err)
			}
			checkKept(t, "", sent, kept)
		})
	}
}

// checkKept checks that every value of sent is in kept.
func checkKept(t *testing.T, path string, sent, kept any) {
	t.Helper()
	for _, prefix := range notKept {
		if strings.HasPrefix(path+".", prefix) {
			return
		}
	}
	switch sent := sent.(type) {
	case map[string]any:
		keptMap, _ := kept.(map[string]any)
		for name, value := range sent {
			checkKept(t, path+"."+name, value, keptMap[name])
		}
	case []any:
		keptList, _ := kept.([]any)
		if len(keptList) != len(sent) {
			t.Errorf("%s has %d elements, not %d", path, len(keptList), len(sent))
			return
		}
		for i, value := range sent {
			checkKept(t, path+"."+strconv.Itoa(i), value, keptList[i])
		}
	case nil:
	default:
		// An ID of zero is how a Go client indicates that there is none yet.
		zero := kept == nil && reflect.ValueOf(sent).IsZero()
		if name := path[strings.LastIndex(path, ".")+1:]; name == "gatewayClassName" && sent == "" {
			zero = kept == "compatibility"
		}
		if !zero && !reflect.DeepEqual(sent, kept) {
			t.Errorf("%s is %v, not %v", path, kept, sent)
		}
	}
}

// TestUnknownFields checks that strict reading still looks inside the parts
// that come from the Gateway API, and that lenient reading drops what it finds.
func TestUnknownFields(t *testing.T) {
	for _, text := range []string{
		`{"apiVersion": "epic.acnodal.io/v1", "kind": "GWProxy", "spec": {"unknown": 1}}`,
		`{"apiVersion": "epic.acnodal.io/v1", "kind": "GWProxy", "spec": {"gateway": {"unknown": 1}}}`,
		`{"apiVersion": "epic.acnodal.io/v1", "kind": "GWRoute", "spec": {"http": {"rules": [{"unknown": 1}]}}}`,
		`{"apiVersion": "epic.acnodal.io/v1", "kind": "GWRoute", "spec": {"tcp": {"unknown": 1}}}`,
		`{"apiVersion": "epic.acnodal.io/v1", "kind": "LoadBalancer", "spec": {"tunnel-key": "a2V5"}}`,
	} {
		strict := serializer.NewCodecFactory(newScheme(), serializer.EnableStrict)
		if _, err := runtime.Decode(strict.UniversalDecoder(), []byte(text)); !runtime.IsStrictDecodingError(err) {
			t.Errorf("strict reading of %s: %v", text, err)
		}
		lenient := serializer.NewCodecFactory(newScheme())
		if _, err := runtime.Decode(lenient.UniversalDecoder(), []byte(text)); err != nil {
			t.Errorf("lenient reading of %s: %v", text, err)
		}
	}
}

// TestDroppedMetadata checks that only an object passes for metadata.
func TestDroppedMetadata(t *testing.T) {
	var spec v1.GWEndpointSliceSpec
	if err := json.Unmarshal([]byte(`{"metadata": {"name": "n"}}`), &spec); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(spec.Metadata)
	if err != nil || string(text) != "{}" {
		t.Errorf("got %s, %v", text, err)
	}
	for _, wrong := range []string{`"text"`, `[]`, `1`} {
		if err := json.Unmarshal([]byte(`{"metadata": `+wrong+`}`), &spec); err == nil {
			t.Errorf("%s passes for metadata", wrong)
		}
	}
}
