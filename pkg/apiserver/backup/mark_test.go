// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/acnodal/epic/pkg/registry/claims"
)

// TestRestoreMarksTheData: servers must not take restored data for data that continued
// without a break.
func TestRestoreMarksTheData(t *testing.T) {
	dir := tempDir(t)
	server, client := start(t, filepath.Join(dir, "old"))
	fill(t, client)
	put := func(key, value string) {
		t.Helper()
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("/epic"+claims.SchemaKeySuffix, "0")
	put("/epic"+claims.SchemaKeySuffix, claims.SchemaVersion)
	put("/a/longer/prefix"+claims.SchemaKeySuffix, claims.SchemaVersion)
	put("/gone"+claims.SchemaKeySuffix, claims.SchemaVersion)
	if _, err := client.Delete(t.Context(), "/gone"+claims.SchemaKeySuffix); err != nil {
		t.Fatal(err)
	}
	put("/epic"+claims.SchemaKeySuffix+"/other", claims.SchemaVersion)
	put("/value", claims.SchemaKeySuffix)

	// Twice, since restored data may be saved and restored before a server used it.
	for range 2 {
		file := filepath.Join(tempDir(t), "snapshot")
		if _, err := saveDataDir(t.Context(), dataDirOf(server.Endpoint()), file); err != nil {
			t.Fatal(err)
		}
		server.Stop()
		next := filepath.Join(tempDir(t), "data")
		summary, err := Restore(file, next, Member{})
		if err != nil {
			t.Fatal(err)
		}
		server, client = start(t, next)
		marked := claims.MarkRestored(claims.SchemaVersion)
		for key, want := range map[string]string{
			"/epic" + claims.SchemaKeySuffix: marked, "/a/longer/prefix" + claims.SchemaKeySuffix: marked, "/gone" + claims.SchemaKeySuffix: "",
			"/epic" + claims.SchemaKeySuffix + "/other": claims.SchemaVersion, "/value": claims.SchemaKeySuffix,
		} {
			got, err := client.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			value := ""
			if len(got.Kvs) > 0 {
				value = string(got.Kvs[0].Value)
			}
			if value != want {
				t.Errorf("%s is %q, want %q", key, value, want)
			}
			if want == marked && got.Kvs[0].ModRevision != summary.Revision+1 {
				t.Errorf("%s was marked at revision %d, the snapshot's is %d", key, got.Kvs[0].ModRevision, summary.Revision)
			}
		}
		if n := count(t, client); n != keys {
			t.Errorf("%d keys, want %d", n, keys)
		}
		// The next writes come after the mark.
		resp, err := client.Txn(t.Context()).
			If(clientv3.Compare(clientv3.Value("/epic"+claims.SchemaKeySuffix), "=", marked)).
			Then(clientv3.OpPut("/k/0", "v")).Commit()
		if err != nil || !resp.Succeeded || resp.Header.Revision != summary.Revision+2 {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}

// dataDirOf is the data directory of an endpoint.
func dataDirOf(endpoint string) string { return filepath.Dir(endpoint[len("unix://"):]) }
