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

// id returns the short name of a proxy's directory, network namespace and interface:
// paths of unix sockets and names of interfaces must be short. It includes the runner's
// directory, so two operators with separate directories do not conflict.
func id(dir string, k proxyidentity.Proxy) string {
	sum := sha256.Sum256([]byte(dir + "\x00" + k.Kind + "\x00" + k.Namespace + "\x00" + k.Name))
	return hex.EncodeToString(sum[:4])
}

// record describes what was started for a proxy.
type record struct {
	Kind      workload.Kind `json:"kind"`
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	UID       types.UID     `json:"uid"`
	// Pod is the proxy's name.
	Pod string `json:"pod"`
	// Process runs epic-proxy, and Argv is its command line.
	Process identity `json:"process"`
	Argv    []string `json:"argv,omitempty"`
	// Mark is the mark of the last start, in the process's environment. It is saved
	// before the process starts.
	Mark string `json:"mark,omitempty"`
	// Link is its connection to the network.
	Link Link `json:"link"`
}

func (r *record) key() proxyidentity.Proxy {
	return proxyidentity.Proxy{Namespace: r.Namespace, Kind: string(r.Kind), Name: r.Name}
}

// proxyIdentity returns the identity that the proxy proves.
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

// endingMark follows the ID in the names of directories of proxies that are ending.
const endingMark = ".ended-"

// records reads the records of all proxies, by the names of their directories, and
// returns the names of directories without one, which a start leaves if it is interrupted
// before anything runs.
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
