// SPDX-License-Identifier: Apache-2.0

package publish_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func newReader(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// certificate is one certificate and its key, the same for all tests.
var certificate = sync.OnceValues(func() (string, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
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
