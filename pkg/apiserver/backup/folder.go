// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// DefaultKeep is the number of snapshots that a Folder keeps: one week at one every
	// six hours.
	DefaultKeep = 28

	filePrefix = "epic-"
	fileSuffix = ".db"
	// fileTime is the layout of a snapshot's time in its name. Names sort by it.
	fileTime = "20060102T150405Z"
	// unverified is the suffix of a file that has not been verified yet.
	unverified = ".unverified"
	lockFile   = "lock"
	// askTimeout limits one request to a member, which may be down.
	askTimeout = 10 * time.Second
)

// Folder is a directory of scheduled snapshots. It keeps the newest ones.
type Folder struct {
	// Dir is the directory. It must contain nothing but snapshots.
	Dir string
	// Keep is the number of snapshots to keep.
	Keep int
	// Prefix is the etcd prefix of EPIC's data.
	Prefix string

	// free returns how many bytes can be written to a directory; tests replace it.
	free func(dir string) (uint64, error)
}

// Saved is a snapshot in a Folder.
type Saved struct {
	// File is the path of the snapshot.
	File string
	// Time is when the snapshot was taken.
	Time time.Time
}

// Save adds a snapshot of etcd. It tries the members at the endpoints in turn, and takes
// the snapshot of the first that is up to date. It renames the file to its final name
// after it has verified its digest and its revision, and only then removes older
// snapshots. Save returns an error if etcd has no data of EPIC, because snapshots of it
// would replace those that have.
func (f Folder) Save(ctx context.Context, cfg clientv3.Config, now time.Time) (*Saved, *Summary, error) {
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("can't create the snapshot directory: %w", err)
	}
	lock, err := fileutil.TryLockFile(filepath.Join(f.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, nil, fmt.Errorf("another process is saving a snapshot to %s: wait until it has finished", f.Dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("can't lock the snapshot directory: %w", err)
	}
	defer lock.Close() //nolint:errcheck // nothing was written to it
	// Remove files that a killed process left behind. A smaller Keep makes room here,
	// too.
	if err := f.removeUnverified(); err != nil {
		return nil, nil, err
	}
	if err := f.removeOld(); err != nil {
		return nil, nil, err
	}
	saved := &Saved{File: filepath.Join(f.Dir, filePrefix+now.UTC().Format(fileTime)+fileSuffix), Time: now.UTC().Truncate(time.Second)}
	if _, err := os.Lstat(saved.File); err == nil {
		return nil, nil, fmt.Errorf("%s already exists: wait a second and try again", saved.File)
	}
	var failed []error
	for _, endpoint := range cfg.Endpoints {
		one := cfg
		one.Endpoints = []string{endpoint}
		summary, err := f.saveFrom(ctx, one, saved)
		if err == nil {
			return saved, summary, f.removeOld()
		}
		failed = append(failed, fmt.Errorf("%s: %w", endpoint, err))
		if ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) || errors.Is(err, errNoData) {
			// The other members would fail as well.
			break
		}
	}
	return nil, nil, fmt.Errorf("no snapshot was saved, and existing ones stay: %w", errors.Join(failed...))
}

// ErrNoDir is returned by a Folder without Dir.
var ErrNoDir = errors.New("--backup-dir is empty: set it to the snapshot directory")

var errNoData = errors.New("etcd has none of EPIC's data")

func (f Folder) check() error {
	switch {
	case f.Dir == "":
		return ErrNoDir
	case f.Keep < 1:
		return fmt.Errorf("--backup-keep is %d: keep at least 1 snapshot", f.Keep)
	}
	return nil
}

// saveFrom saves the snapshot of one member and records it.
func (f Folder) saveFrom(ctx context.Context, cfg clientv3.Config, saved *Saved) (*Summary, error) {
	client, err := clientv3.New(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close() //nolint:errcheck // nothing is left to send
	revision, err := f.ask(ctx, client)
	if err != nil {
		return nil, err
	}
	part := saved.File + unverified
	defer f.removeUnverified() //nolint:errcheck // the next attempt removes what stays
	summary, err := Save(ctx, cfg, part)
	if err != nil {
		return nil, f.explain(err)
	}
	if summary.Revision < revision {
		return nil, fmt.Errorf("its snapshot ends at revision %d, but etcd was at revision %d before", summary.Revision, revision)
	}
	if err := os.Rename(part, saved.File); err != nil {
		return nil, fmt.Errorf("can't rename the snapshot: %w", err)
	}
	if err := syncDir(f.Dir); err != nil {
		return nil, err
	}
	return summary, nil
}

// ask returns the revision of a member that is up to date, and an error if the snapshot
// would be useless or too large.
func (f Folder) ask(ctx context.Context, client *clientv3.Client) (revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// The read is linearizable: a member responds once it has every earlier write.
	schema, err := client.Get(ctx, schemaKey(f.Prefix), clientv3.WithCountOnly())
	if err != nil {
		return 0, clientv3.ContextError(ctx, err)
	}
	if schema.Count == 0 {
		return 0, fmt.Errorf("%w below %s: restore a snapshot, or correct --etcd-prefix", errNoData, f.Prefix)
	}
	status, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return 0, clientv3.ContextError(ctx, err)
	}
	free := f.free
	if free == nil {
		free = freeBytes
	}
	room, err := free(f.Dir)
	if err != nil {
		return 0, fmt.Errorf("determine the free space of %s: %w", f.Dir, err)
	}
	if status.DbSize > 0 && room < uint64(status.DbSize) {
		return 0, f.explain(fmt.Errorf("the snapshot needs %d bytes, but only %d are free: %w", status.DbSize, room, syscall.ENOSPC))
	}
	return schema.Header.Revision, nil
}

// explain adds a suggested fix to the error of a full disk.
func (f Folder) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s has no room for another snapshot: enlarge the volume, or keep fewer than %d (--backup-keep): %w", f.Dir, f.Keep, err)
	}
	return err
}

// List returns the snapshots, newest first.
func (f Folder) List() ([]Saved, error) {
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("can't read the snapshot directory: %w", err)
	}
	var all []Saved
	for _, entry := range entries {
		if at, ok := parseName(entry.Name()); ok && entry.Type().IsRegular() {
			all = append(all, Saved{filepath.Join(f.Dir, entry.Name()), at})
		}
	}
	slices.SortFunc(all, func(a, b Saved) int { return b.Time.Compare(a.Time) })
	return all, nil
}

// Find returns the snapshot with that name, or the newest if name is empty.
func (f Folder) Find(name string) (*Saved, error) {
	all, err := f.List()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if name == "" || filepath.Base(s.File) == name {
			return &s, nil
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%s has no snapshot", f.Dir)
	}
	return nil, fmt.Errorf("%s has no snapshot %q: run \"epic-apiserver backup list\" to list them", f.Dir, name)
}

// parseName returns the time in the name of a snapshot.
func parseName(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, filePrefix)
	if !ok {
		return time.Time{}, false
	}
	if text, ok = strings.CutSuffix(text, fileSuffix); !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(fileTime, text)
	return at, err == nil
}

// removeOld removes all snapshots but the newest Keep.
func (f Folder) removeOld() error {
	all, err := f.List()
	if err != nil {
		return err
	}
	for i := f.Keep; i < len(all); i++ {
		if err := os.Remove(all[i].File); err != nil {
			return fmt.Errorf("can't remove an old snapshot: %w", err)
		}
	}
	return nil
}

// removeUnverified removes unfinished files.
func (f Folder) removeUnverified() error {
	left, err := filepath.Glob(filepath.Join(f.Dir, filePrefix+"*"+fileSuffix+unverified+"*"))
	if err != nil {
		return err
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("can't remove an unfinished snapshot: %w", err)
		}
	}
	return nil
}
