// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

// RevisionBump is added to the revision of a restored database. Revisions after the
// snapshot must not be reused: clients that saw them would continue their watches without
// noticing the restore. A billion lasts for 11 days at a thousand writes a second.
const RevisionBump = 1_000_000_000

// Member is a member of an etcd cluster to restore. The zero value is the embedded etcd.
type Member struct {
	// Name is the name of the member.
	Name string
	// InitialCluster lists all members, as NAME=URL,...
	InitialCluster string
	// InitialClusterToken distinguishes this cluster from its predecessor.
	InitialClusterToken string
	// PeerURLs are the peer URLs of the member, as in InitialCluster.
	PeerURLs []string
}

// Restore creates a data directory from a snapshot: the directory of a server with an
// embedded etcd or, if member is set, that of an etcd server.
func Restore(file, dataDir string, member Member) (*Summary, error) {
	summary, err := Inspect(file)
	if err != nil {
		return nil, err
	}
	if err := empty(dataDir); err != nil {
		return nil, err
	}
	target := dataDir
	if member.Name == "" {
		if dataDir, err = embedetcd.Prepare(dataDir); err != nil {
			return nil, err
		}
		target = embedetcd.MemberDir(dataDir)
		member = Member{
			Name:                embedetcd.MemberName,
			InitialCluster:      embedetcd.MemberName + "=" + embedetcd.PeerURL,
			InitialClusterToken: "epic-embedded",
			PeerURLs:            []string{embedetcd.PeerURL},
		}
	}
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        file,
		Name:                member.Name,
		OutputDataDir:       target,
		OutputWALDir:        filepath.Join(target, "member", "wal"),
		PeerURLs:            member.PeerURLs,
		InitialCluster:      member.InitialCluster,
		InitialClusterToken: member.InitialClusterToken,
		RevisionBump:        RevisionBump,
		MarkCompacted:       true,
	})
	if err == nil {
		err = markRestored(target)
	}
	if err != nil {
		// A partial directory would look like valid data at the next start.
		return nil, errors.Join(fmt.Errorf("can't restore into %s: %w", dataDir, err), os.RemoveAll(filepath.Join(target, "member")))
	}
	summary.Revision += RevisionBump
	return summary, nil
}

// empty returns an error if a directory is not empty.
func empty(dir string) error {
	if dir == "" {
		return errors.New("--data-dir must name the directory to create")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("--data-dir: %s is not empty, and a restore never replaces data: use a new directory", dir)
	}
	return nil
}
