// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/statefile"
)

const (
	stateVersion = 1
	// saveAfter is how long changes are batched before the state is written.
	saveAfter = time.Second
	// saveEvery is the interval at which the control protocol's sequence numbers are
	// written.
	saveEvery = time.Minute
)

// state is the state on disk, with which a node can work if it starts while the API is
// unavailable. It includes tunnels' keys: without them, no tunnel could be opened. Root,
// who can read the file, can also read them from the API with the node's credentials.
type state struct {
	Role  string       `json:"role"`
	Nodes []netip.Addr `json:"nodes"`
	// Objects are the objects that were in the API.
	Objects  []savedObject `json:"objects"`
	Platform platform      `json:"platform"`
	// Labels are this node's labels, by which BGP peers are selected.
	Labels map[string]string `json:"labels,omitempty"`
	// Sequences holds the last sequence numbers of the tunnels' far ends, on a gateway.
	Sequences map[uint32]uint64 `json:"sequences,omitempty"`
	// Cookies holds how tunnels used cookies, so nobody can send packets without cookies
	// to a node that was rebooted.
	Cookies map[uint32]cookieUse `json:"cookies,omitempty"`
}

type cookieUse struct {
	Sent     bool `json:"sent,omitempty"`
	Required bool `json:"required,omitempty"`
}

// savedCookies returns the cookies of a state, which may be nil.
func (s *state) savedCookies() map[uint32]cookieUse {
	if s == nil {
		return nil
	}
	return s.Cookies
}

type savedObject struct {
	Intent *intent.Intent `json:"intent"`
	Keys   []savedKeys    `json:"keys,omitempty"`
}

type savedKeys struct {
	Tunnel uint32     `json:"tunnel"`
	Keys   []savedKey `json:"keys"`
}

type savedKey struct {
	ID    uint8  `json:"id"`
	Bytes []byte `json:"bytes"`
}

func saveKeys(keys intent.Keys) []savedKeys {
	var out []savedKeys
	for id, all := range keys.All() {
		s := savedKeys{Tunnel: id}
		for _, k := range all {
			s.Keys = append(s.Keys, savedKey{k.ID, slices.Clone(k.Bytes[:])})
		}
		out = append(out, s)
	}
	return out
}

func loadKeys(saved []savedKeys) intent.Keys {
	out := map[uint32][]gue.Key{}
	for _, s := range saved {
		for _, k := range s.Keys {
			if len(k.Bytes) == gue.KeySize {
				out[s.Tunnel] = append(out[s.Tunnel], gue.Key{ID: k.ID, Bytes: [gue.KeySize]byte(k.Bytes)})
			}
		}
	}
	return intent.NewKeys(out)
}

// saver writes the state.
type saver struct {
	file    statefile.File
	gather  func() state
	changes chan struct{}

	mu    sync.Mutex
	saved time.Time
	err   error
}

// statePath returns the path of the state in a directory.
func statePath(dir string) string { return filepath.Join(dir, "state") }

func newSaver(dir string, gather func() state) *saver {
	return &saver{file: statefile.File{Path: statePath(dir), Version: stateVersion}, gather: gather, changes: make(chan struct{}, 1)}
}

// touch signals that the state has changed.
func (s *saver) touch() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

// run writes the state after changes, and when the context ends.
func (s *saver) run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.save(ctx)
			return
		case <-tick.C:
		case <-s.changes:
			select {
			case <-ctx.Done():
				s.save(ctx)
				return
			case <-time.After(saveAfter):
			}
		}
		s.save(ctx)
	}
}

func (s *saver) save(ctx context.Context) {
	err := s.file.Save(s.gather())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.saved = time.Now()
	} else if s.err == nil {
		klog.FromContext(ctx).Error(err, "Can't write the state to disk; it would be missing if the program starts while the API is unavailable")
	}
	s.err = err
}

func (s *saver) last() (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved, s.err
}

// gatherObjects returns the part of the state that both roles share.
func gatherObjects(a *apply.Applier) []savedObject {
	out := []savedObject{}
	a.Each(func(s apply.State) {
		out = append(out, savedObject{s.Intent, saveKeys(s.Keys)})
	})
	slices.SortFunc(out, func(x, y savedObject) int { return intent.Compare(x.Intent.Key, y.Intent.Key) })
	return out
}

// sequenceFile stores the mark of a gue.Sequence.
type sequenceFile struct{ statefile.File }

// Load implements gue.SequenceStore.
func (f sequenceFile) Load() (uint64, error) {
	var n uint64
	_, err := f.File.Load(&n)
	return n, err
}

// Save implements gue.SequenceStore.
func (f sequenceFile) Save(n uint64) error { return f.File.Save(n) }
