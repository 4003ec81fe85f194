// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

// stored reads what etcd holds under a prefix.
func stored(t *testing.T, server *testserver.TestServer, prefix string) map[string][]byte {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	resp, err := client.Get(context.Background(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, kv := range resp.Kvs {
		out[string(kv.Key)] = kv.Value
	}
	return out
}

// TestStoredForm looks at what lies in etcd: protobuf, under the group's name,
// and nothing twice.
func TestStoredForm(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	k.run(t, "patch", "-n", "epic-one", "lb", "first", "--subresource=status", "--type=merge", "-p",
		`{"status":{"gue-tunnel-endpoints":{"10.99.88.77":{"epic-address":"192.168.1.40"}}}}`)

	value := stored(t, server, "/epic/epic.acnodal.io/loadbalancers/")["/epic/epic.acnodal.io/loadbalancers/epic-one/first"]
	if !bytes.HasPrefix(value, []byte("k8s\x00")) {
		t.Errorf("not protobuf: %.40q", value)
	}
	// Once as the key of the map in the status; managed fields name it too.
	if n := bytes.Count(value, []byte("10.99.88.77")) - bytes.Count(value, []byte(`f:10.99.88.77`)); n != 1 {
		t.Errorf("the tunnel's node is stored %d times", n)
	}
	for key, value := range stored(t, server, "/epic/.claims/v1/") {
		if bytes.Contains([]byte(key), []byte("first")) || bytes.Contains([]byte(key), []byte("epic-one")) {
			t.Errorf("a claim's key names a tenant: %s = %s", key, value)
		}
	}
}

// TestEncryptionAtRest keeps objects encrypted in etcd, where the rules read
// them all the same.
func TestEncryptionAtRest(t *testing.T) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/encryption.yaml"
	writeFile(t, file, fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.epic.acnodal.io"]
  providers:
  - secretbox: {keys: [{name: one, secret: %s}]}
  - identity: {}
`, base64.StdEncoding.EncodeToString(secret)))
	server := testserver.StartTestServer(t, "--encryption-provider-config="+file)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	wants(t, "the load balancer", k.run(t, "get", "-n", "epic-one", "lb", "first", "-o", "yaml"), "owning-serviceprefix: pool")
	cleanAudit(t, k)

	objects := stored(t, server, "/epic/epic.acnodal.io/")
	if len(objects) == 0 {
		t.Error("etcd holds no objects")
	}
	for key, value := range objects {
		if !bytes.HasPrefix(value, []byte("k8s:enc:secretbox:v1:one:")) {
			t.Errorf("%s is not encrypted: %.40q", key, value)
		}
	}
}
