// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// id is the short name of a proxy's folder, its network namespace and interface: paths
// of unix sockets and names of interfaces are short. Two operators with folders of
// their own do not meet.
func id(dir string, k proxyidentity.Proxy) string {
	sum := sha256.Sum256([]byte(dir + "\x00" + k.Kind + "\x00" + k.Namespace + "\x00" + k.Name))
	return hex.EncodeToString(sum[:4])
}

// record is what was started for a proxy.
type record struct {
	Kind      workload.Kind `json:"kind"`
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	UID       types.UID     `json:"uid"`
	// Pod is the proxy's name.
	Pod string `json:"pod"`
	// Process runs epic-proxy, and Argv is how it was started.
	Process identity `json:"process"`
	Argv    []string `json:"argv,omitempty"`
	// Mark is the mark of the last start, in the process's environment. It is saved before the
	// process starts.
	Mark string `json:"mark,omitempty"`
	// Link is its way to the network.
	Link Link `json:"link"`
}

func (r *record) key() proxyidentity.Proxy {
	return proxyidentity.Proxy{Namespace: r.Namespace, Kind: string(r.Kind), Name: r.Name}
}

// proxyIdentity is what the proxy proves.
func (r *record) proxyIdentity() proxyidentity.Identity {
	return proxyidentity.Identity{Proxy: r.key(), Pod: r.Pod}
}

const recordFile = "record.json"

func (r *record) save(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", r.Pod, err)
	}
	return privatefile.Write(filepath.Join(dir, recordFile), data)
}

// endingMark is in the names of folders of proxies that are being ended, after their IDs.
const endingMark = ".ended-"

// records reads those of all proxies, by the names of their folders, and returns the names of
// folders without one, which a start left that was interrupted before anything ran.
func records(dir string) (all map[string]*record, begun []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	all = map[string]*record{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name(), recordFile))
		if errors.Is(err, fs.ErrNotExist) {
			begun = append(begun, e.Name())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		r := &record{}
		if err := json.Unmarshal(data, r); err != nil {
			return nil, nil, fmt.Errorf("%s: %w: stop the proxy and remove the directory", filepath.Join(dir, e.Name(), recordFile), err)
		}
		all[e.Name()] = r
	}
	return all, begun, nil
}
