// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

func other() proxyidentity.Identity {
	id := web
	id.Pod = "web-1"
	return id
}

func discovery(r *resource.Resource) *discoveryv3.Resource {
	return &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: &anypb.Any{TypeUrl: r.Type.URL(), Value: r.Body}}
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "accepted")
	s, err := openStore(dir, dir)
	if err != nil || !s.empty() {
		t.Fatal(err)
	}
	// Names may be anything, and the same for two types.
	names := []string{"web", "../../etc/passwd", "a/b", "x\x00y", "ü", string(make([]byte, 4096))}
	for _, typ := range []resource.Type{resource.Cluster, resource.Secret} {
		for _, name := range names {
			for _, version := range []string{"1", "2"} {
				if err := s.put(typ, discovery(&resource.Resource{Type: typ, Name: name, Version: version, Body: []byte(name + version)})); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := s.remove(resource.Key{Type: resource.Cluster, Name: "a/b"}); err != nil {
		t.Fatal(err)
	}
	if err := s.remove(resource.Key{Type: resource.Route, Name: "nothing"}); err != nil {
		t.Fatal(err)
	}
	// What a crash or a person leaves is no resource.
	for name, content := range map[string]string{"garbage.pb": "hello", "1-0.pb.new": "", "notes.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A program that ended between two steps left two versions.
	k := resource.Key{Type: resource.Cluster, Name: "web"}
	current, err := os.ReadFile(s.path(k, "2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(k.Type, discovery(&resource.Resource{Name: "web", Version: "1", Body: []byte("web1")})); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(k, "2"), current, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(s.path(k, "1"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(dir, dir); err != nil {
		t.Fatal(err)
	}
	all := s.load()
	if len(all) != 2*len(names)-1 {
		t.Errorf("%d resources are kept", len(all))
	}
	for k, e := range all {
		if e.Version != "2" || string(e.Body) != k.Name+"2" || e.Key() != k {
			t.Errorf("%s %q is version %s, %q", k.Type, k.Name, e.Version, e.Body)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(all) {
		t.Errorf("%d files are left, %v", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// On a disk a former version stays until the new one has reached it. Secrets are only where
// they may be.
func TestStoreOnDisk(t *testing.T) {
	dir, memory := filepath.Join(t.TempDir(), "kept"), filepath.Join(t.TempDir(), "memory")
	s, err := openStore(dir, memory)
	if err != nil {
		t.Fatal(err)
	}
	s.durable = true
	put := func(typ resource.Type, version string) {
		t.Helper()
		if err := s.put(typ, discovery(&resource.Resource{Type: typ, Name: "web", Version: version, Body: []byte(version)})); err != nil {
			t.Fatal(err)
		}
	}
	files := func(folder string) int {
		t.Helper()
		all, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	for _, version := range []string{"1", "2", "1", "3", "2"} {
		put(resource.Cluster, version)
	}
	put(resource.Secret, "1")
	if files(dir) != 3 || files(memory) != 1 {
		t.Errorf("%d files on the disk and %d in memory", files(dir), files(memory))
	}
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	k := resource.Key{Type: resource.Cluster, Name: "web"}
	if r := s.get(k); files(dir) != 1 || r == nil || r.Version != "2" {
		t.Errorf("%d files after a sync, %v", files(dir), r)
	}
	// The machine fails while a version is written: the former one is there.
	put(resource.Cluster, "4")
	if err := os.Truncate(s.path(k, "4"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(memory); err != nil {
		t.Fatal(err)
	}
	if s, err = openStore(dir, memory); err != nil {
		t.Fatal(err)
	}
	if r := s.get(k); r == nil || r.Version != "2" || len(s.keys()) != 1 {
		t.Errorf("after a reboot there is %v of %v", r, s.keys())
	}
	// A key that was allowed on the disk, and is no longer.
	if s, err = openStore(dir, dir); err != nil {
		t.Fatal(err)
	}
	put(resource.Secret, "1")
	if s, err = openStore(dir, memory); err != nil {
		t.Fatal(err)
	}
	if files(dir) != 1 || s.get(resource.Key{Type: resource.Secret, Name: "web"}) != nil {
		t.Errorf("a secret is left on the disk: %v", s.keys())
	}
}
