// SPDX-License-Identifier: Apache-2.0

package options

import (
	"os"
	"testing"
	"time"

	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

// The size of the database never keeps a scrape waiting, whether etcd was there before or not.
func TestStorageMonitor(t *testing.T) {
	dir, err := os.MkdirTemp("", "etcd-") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	stop := make(chan struct{})
	defer close(stop)
	get := newStorageMonitor(storagebackend.Config{Transport: storagebackend.TransportConfig{ServerList: []string{embedetcd.Endpoint(dir)}}}, stop)
	size := func() (etcd3metrics.StorageMetrics, error) {
		t.Helper()
		began := time.Now()
		all, err := get()
		if err != nil || len(all) != 1 {
			t.Fatalf("%d monitors, %v", len(all), err)
		}
		m, err := all[0].Monitor(t.Context())
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the answer took %s", took)
		}
		return m, err
	}
	if got, err := size(); err == nil {
		t.Errorf("without etcd the size is %d", got.Size)
	}
	etcd, err := embedetcd.Start(t.Context(), embedetcd.Config{DataDir: dir, UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Stop)
	var known int64
	for deadline := time.Now().Add(time.Minute); known == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got, err := size(); err == nil {
			known = got.Size
		}
	}
	if known == 0 {
		t.Fatal("etcd runs, and its size is not known")
	}
	etcd.Stop()
	for range 2 {
		if got, err := size(); err != nil || got.Size != known {
			t.Errorf("after etcd has stopped: %d, %v; want %d", got.Size, err, known)
		}
	}
}
