// SPDX-License-Identifier: Apache-2.0

package publish_test

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/pki/pkitest"
)

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// certificate is one certificate and its key, the same for all tests.
var certificate = sync.OnceValues(func() (string, string) {
	crt, key, err := pkitest.SelfSigned(&x509.Certificate{DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}, nil)
	if err != nil {
		panic(err)
	}
	return string(crt), string(key)
})

// expand replaces the words CERTIFICATE and KEY of an input by a certificate and its key
// as the value of a YAML string.
func expand(t *testing.T, data []byte) []byte {
	t.Helper()
	crt, key := certificate()
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }
	return []byte(strings.NewReplacer("$CERTIFICATE", quote(crt), "$KEY", quote(key)).Replace(string(data)))
}

// withString is what the API server does with stringData.
func withString(data map[string][]byte, key, value string) map[string][]byte {
	if data == nil {
		data = map[string][]byte{}
	}
	data[key] = []byte(value)
	return data
}

// text is an object in YAML, with a line for each condition.
func text(t *testing.T, o any) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(short(tree))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// short replaces conditions by words, and leaves out a status without content.
func short(o any) any {
	switch o := o.(type) {
	case []any:
		for i := range o {
			o[i] = short(o[i])
		}
	case map[string]any:
		kind, isCondition := o["type"].(string)
		if _, ok := o["lastTransitionTime"]; ok && isCondition {
			since := ""
			if at := o["lastTransitionTime"]; at != "2026-02-01T00:00:00Z" {
				since = fmt.Sprintf(", since %v", at)
			}
			return fmt.Sprintf("%s=%v %v (generation %v%s): %v", kind, o["status"], o["reason"], cmp.Or(o["observedGeneration"], any(0)), since, o["message"])
		}
		for key, value := range o {
			if o[key] = short(value); key == "status" {
				if m, ok := value.(map[string]any); ok && len(m) == 0 {
					delete(o, key)
				}
			}
		}
	}
	return o
}
