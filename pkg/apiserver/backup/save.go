// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
	clientsnapshot "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

// Summary describes the content of a snapshot.
type Summary struct {
	// Bytes is the size of the file.
	Bytes int64
	// Revision is the last etcd revision in the snapshot.
	Revision int64
	// Keys is the number of keys at that revision.
	Keys int
	// SHA256 is the digest of the whole file, in hexadecimal.
	SHA256 string
}

// Save writes a snapshot of a running etcd to file. It tries the endpoints in turn until
// one responds. The file is created atomically, and an existing file is not replaced.
func Save(ctx context.Context, cfg clientv3.Config, file string) (*Summary, error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, fmt.Errorf("can't write the snapshot: %w", err)
		}
		return nil, fmt.Errorf("%s already exists: choose another name, or remove it first", file)
	}
	var failed []error
	for _, endpoint := range cfg.Endpoints {
		one := cfg
		one.Endpoints = []string{endpoint}
		// It writes to a file next to the target, syncs it, and renames it.
		if _, err := clientsnapshot.SaveWithVersion(ctx, zap.NewNop(), one, file); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", endpoint, err))
			continue
		}
		if err := syncDir(filepath.Dir(file)); err != nil {
			return nil, err
		}
		return Inspect(file)
	}
	return nil, fmt.Errorf("no etcd member returned a snapshot: %w", errors.Join(failed...))
}

// HoldDataDir makes the data in dataDir available until stop is called, and returns the
// client configuration to reach it. If a server runs on the directory, it uses that
// server's etcd; otherwise it starts one.
func HoldDataDir(ctx context.Context, dataDir string) (cfg clientv3.Config, stop func(), err error) {
	stop = func() {}
	if dataDir, err = filepath.Abs(dataDir); err != nil {
		return cfg, stop, err
	}
	found, err := embedetcd.Initialized(dataDir)
	if err != nil {
		return cfg, stop, err
	}
	if !found {
		return cfg, stop, fmt.Errorf("%s has no data of an embedded etcd: set --data-dir to the server's", dataDir)
	}
	cfg = clientv3.Config{Endpoints: []string{embedetcd.Endpoint(dataDir)}, Logger: zap.NewNop()}
	// Start a member to replay the log, which a copy of the files would not. If a server
	// holds the directory, its member is running.
	member, err := embedetcd.Start(ctx, embedetcd.Config{DataDir: dataDir})
	var held *embedetcd.HeldError
	if errors.As(err, &held) {
		return cfg, stop, nil
	}
	if err != nil {
		return cfg, stop, err
	}
	return cfg, member.Stop, nil
}

// Inspect verifies the integrity of a snapshot and describes its content.
func Inspect(file string) (*Summary, error) {
	summary, err := checkDigest(file)
	if err != nil {
		return nil, err
	}
	status, err := snapshot.NewV3(zap.NewNop()).Status(file)
	if err != nil {
		return nil, fmt.Errorf("%s is not a usable snapshot: %w", file, err)
	}
	summary.Revision, summary.Keys = status.Revision, status.TotalKey
	return summary, nil
}

// checkDigest verifies the digest that etcd appends to the content.
func checkDigest(file string) (*Summary, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("can't read the snapshot: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("can't read the snapshot: %w", err)
	}
	content := info.Size() - sha256.Size
	if content <= 0 || content%512 != 0 {
		return nil, fmt.Errorf("%s is not a snapshot or is truncated: it has no digest at its end", file)
	}
	whole, body := sha256.New(), sha256.New()
	if _, err := io.CopyN(io.MultiWriter(whole, body), f, content); err != nil {
		return nil, fmt.Errorf("can't read the snapshot: %w", err)
	}
	var digest bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(whole, &digest), f); err != nil {
		return nil, fmt.Errorf("can't read the snapshot: %w", err)
	}
	if !bytes.Equal(body.Sum(nil), digest.Bytes()) {
		return nil, fmt.Errorf("%s is damaged: its content does not match its digest", file)
	}
	return &Summary{Bytes: info.Size(), SHA256: fmt.Sprintf("%x", whole.Sum(nil))}, nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("can't sync the snapshot to disk: %w", err)
	}
	defer d.Close() //nolint:errcheck // it was only read
	if err := d.Sync(); err != nil {
		return fmt.Errorf("can't sync the snapshot to disk: %w", err)
	}
	return nil
}
