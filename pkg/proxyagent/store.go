// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// store keeps what Envoy accepted, one file a resource, so that an Envoy that starts
// again gets it at once. The folder should be in memory: it has the keys of certificates.
type store struct {
	dir string

	mu sync.Mutex
	// versions are of the resources that are kept.
	versions map[resource.Key]string
}

const suffix = ".pb"

// openStore reads which resources a folder has. Files that can't be read are removed:
// the operator sends their resources again.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of accepted resources: %w", err)
	}
	s := &store{dir: dir, versions: map[resource.Key]string{}}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		superfluous := path
		if r, err := readResource(path); err == nil && path == s.path(r.Key(), r.Version) {
			superfluous = ""
			if before, ok := s.versions[r.Key()]; ok {
				// The program ended before it removed the former version.
				superfluous = older(path, s.path(r.Key(), before))
			}
			if superfluous != path {
				s.versions[r.Key()] = r.Version
			}
		}
		if superfluous != "" {
			if err := os.Remove(superfluous); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// older returns which of two files was written first.
func older(a, b string) string {
	x, err := os.Stat(a)
	if err != nil {
		return a
	}
	if y, err := os.Stat(b); err == nil && x.ModTime().After(y.ModTime()) {
		return b
	}
	return a
}

// path returns the file of one version of a resource. Each version has a file of its
// own, since some file systems write a file to the disk before it takes the place of
// another one.
func (s *store) path(k resource.Key, version string) string {
	name, content := sha256.Sum256([]byte(k.Name)), sha256.Sum256([]byte(version))
	return filepath.Join(s.dir, fmt.Sprintf("%d-%s-%s%s", k.Type, hex.EncodeToString(name[:16]), hex.EncodeToString(content[:8]), suffix))
}

func readResource(path string) (*resource.Resource, error) {
	if !strings.HasSuffix(path, suffix) {
		return nil, fmt.Errorf("%s is no resource", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m discoveryv3.Resource
	if err := proto.Unmarshal(content, &m); err != nil {
		return nil, err
	}
	t, ok := resource.TypeOf(m.GetResource().GetTypeUrl())
	if !ok || m.Name == "" || m.Version == "" {
		return nil, fmt.Errorf("%s is no resource", path)
	}
	return &resource.Resource{Type: t, Name: m.Name, Version: m.Version, Body: m.GetResource().GetValue()}, nil
}

// put keeps a resource in the place of an earlier version.
func (s *store) put(t resource.Type, m *discoveryv3.Resource) error {
	k := resource.Key{Type: t, Name: m.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.versions[k]
	if ok && before == m.Version {
		return nil
	}
	content, err := proto.Marshal(&discoveryv3.Resource{
		Name: m.Name, Version: m.Version, Resource: &anypb.Any{TypeUrl: t.URL(), Value: m.GetResource().GetValue()},
	})
	if err != nil {
		return err
	}
	if err := writeFile(s.path(k, m.Version), content); err != nil {
		return err
	}
	s.versions[k] = m.Version
	if ok {
		return removeFile(s.path(k, before))
	}
	return nil
}

// remove forgets a resource.
func (s *store) remove(k resource.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, ok := s.versions[k]
	if !ok {
		return nil
	}
	delete(s.versions, k)
	return removeFile(s.path(k, version))
}

// empty reports whether nothing is kept.
func (s *store) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.versions) == 0
}

// get reads a resource, or returns nil.
func (s *store) get(k resource.Key) *resource.Resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, ok := s.versions[k]
	if !ok {
		return nil
	}
	r, err := readResource(s.path(k, version))
	if err != nil {
		return nil
	}
	return r
}

// keys returns the keys and versions of all resources.
func (s *store) keys() map[resource.Key]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.versions)
}

// kept is the content of a store as a configuration. It does not change.
type kept map[resource.Key]*delta.Entry

// load reads everything.
func (s *store) load() kept {
	all := kept{}
	for k := range s.keys() {
		if r := s.get(k); r != nil {
			all[k] = delta.NewEntry(r, time.Time{})
		}
	}
	return all
}

// Ready implements delta.View.
func (k kept) Ready() bool { return true }

// Get implements delta.View.
func (k kept) Get(t resource.Type, name string) *delta.Entry {
	return k[resource.Key{Type: t, Name: name}]
}

// Each implements delta.View.
func (k kept) Each(t resource.Type, f func(string)) {
	for key := range k {
		if key.Type == t {
			f(key.Name)
		}
	}
}
