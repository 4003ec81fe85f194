// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// store stores what Envoy accepted, one file per resource, so a restarted Envoy gets it
// immediately. Secrets, which contain the keys of certificates, may have a separate
// directory.
type store struct {
	dir, secrets string
	// durable indicates that the directory survives a reboot.
	durable bool

	mu sync.Mutex
	// versions holds the versions of the stored resources.
	versions map[resource.Key]string
	// unsynced indicates that something may not have reached the disk, and superseded
	// holds the files of previous versions, which are removed after that.
	unsynced   bool
	superseded map[string]resource.Key
}

const suffix = ".pb"

// syncEvery is the interval at which files are synced to the disk.
const syncEvery = time.Second

// openStore reads which resources the directories contain: dir, and that of secrets,
// which may be the same. It removes unreadable files and secrets in the wrong directory:
// the operator sends their resources again.
func openStore(dir, secrets string) (*store, error) {
	s := &store{dir: dir, secrets: secrets, versions: map[resource.Key]string{}}
	folders := []string{dir, secrets}
	for _, folder := range slices.Compact(folders) {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("create the directory of accepted resources: %w", err)
		}
		if err := s.read(folder); err != nil {
			return nil, err
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("read the directory of accepted resources: %w", err)
	}
	s.durable = fs.Type != unix.TMPFS_MAGIC && fs.Type != unix.RAMFS_MAGIC
	return s, nil
}

// read reads which resources a directory contains.
func (s *store) read(folder string) error {
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name())
		superfluous := path
		if r, err := readResource(path); err == nil && path == s.path(r.Key(), r.Version) {
			superfluous = ""
			if before, ok := s.versions[r.Key()]; ok {
				// The program ended before it removed the previous version.
				superfluous = older(path, s.path(r.Key(), before))
			}
			if superfluous != path {
				s.versions[r.Key()] = r.Version
			}
		}
		if superfluous != "" {
			if err := os.Remove(superfluous); err != nil {
				return err
			}
		}
	}
	return nil
}

// run syncs files to the disk until ctx ends.
func (s *store) run(ctx context.Context) {
	if !s.durable {
		return
	}
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = s.sync()
			return
		case <-tick.C:
		}
		if err := s.sync(); err != nil {
			klog.FromContext(ctx).Error(err, "Can't sync what Envoy accepted to disk; it may be lost in a reboot")
		}
	}
}

// sync syncs written files to the disk, and then removes the previous versions. So if the
// machine fails in between, one of the versions remains.
func (s *store) sync() error {
	s.mu.Lock()
	former, needed := s.superseded, s.unsynced
	s.superseded, s.unsynced = nil, false
	s.mu.Unlock()
	if !needed {
		return nil
	}
	err := syncFolder(s.dir)
	for path := range former {
		err = errors.Join(err, removeFile(path))
	}
	return err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return unix.Syncfs(int(folder.Fd()))
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

// path returns the file of one version of a resource. Each version has a separate file,
// because some file systems write a file to the disk before it replaces another one.
func (s *store) path(k resource.Key, version string) string {
	name, content := sha256.Sum256([]byte(k.Name)), sha256.Sum256([]byte(version))
	folder := s.dir
	if k.Type == resource.Secret {
		folder = s.secrets
	}
	return filepath.Join(folder, fmt.Sprintf("%d-%s-%s%s", k.Type, hex.EncodeToString(name[:16]), hex.EncodeToString(content[:8]), suffix))
}

func readResource(path string) (*resource.Resource, error) {
	if !strings.HasSuffix(path, suffix) {
		return nil, fmt.Errorf("%s is not a resource", path)
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
		return nil, fmt.Errorf("%s is not a resource", path)
	}
	return &resource.Resource{Type: t, Name: m.Name, Version: m.Version, Body: m.GetResource().GetValue()}, nil
}

// put stores a resource and replaces an earlier version.
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
	path := s.path(k, m.Version)
	if err := writeFile(path, content); err != nil {
		return err
	}
	if ok && s.durable {
		// The kernel's timestamps are too coarse to order two versions.
		now := time.Now()
		if err := os.Chtimes(path, now, now); err != nil {
			return err
		}
	}
	s.versions[k] = m.Version
	s.unsynced = true
	switch {
	case !ok:
		return nil
	case s.durable:
		if s.superseded == nil {
			s.superseded = map[string]resource.Key{}
		}
		s.superseded[s.path(k, before)] = k
		// A version that is restored before the next sync must not be removed.
		delete(s.superseded, path)
		return nil
	}
	return removeFile(s.path(k, before))
}

// remove removes a resource.
func (s *store) remove(k resource.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, ok := s.versions[k]
	if !ok {
		return nil
	}
	delete(s.versions, k)
	s.unsynced = true
	err := removeFile(s.path(k, version))
	for path, of := range s.superseded {
		if of == k {
			delete(s.superseded, path)
			err = errors.Join(err, removeFile(path))
		}
	}
	return err
}

// empty reports whether the store is empty.
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

// kept is the content of a store as a configuration. It is immutable.
type kept map[resource.Key]*delta.Entry

// load reads all resources.
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
