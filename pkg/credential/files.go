// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/klog/v2"
)

// readAgain is the interval at which files are reloaded. Kubernetes updates mounted
// Secrets within about a minute.
const readAgain = 10 * time.Second

// Files is a source of kubeconfig files, of which the one that was issued last is used. A
// missing file is ignored, as long as there is another.
type Files struct {
	Paths     []string
	Transport *Transport
	// Check rejects a credential by returning an error; may be nil.
	Check func(*Credential) error
	// Observe is called with each credential that Run sets; may be nil.
	Observe func(*Credential)

	// last holds the contents of the files when one of them was last chosen.
	last [][]byte
	// set is the credential that was last set.
	set *Credential
}

// Load reads the files and sets the credential of the transport if one of them changed.
func (f *Files) Load() error {
	var best *Credential
	var errs []error
	now := time.Now()
	var contents [][]byte
	for _, path := range f.Paths {
		data, err := os.ReadFile(path)
		contents = append(contents, data)
		if errors.Is(err, fs.ErrNotExist) && len(f.Paths) > 1 {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := Parse(data, filepath.Dir(path))
		if err == nil && f.Check != nil {
			err = f.Check(c)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if c.better(best, now) {
			best = c
		}
	}
	if best == nil {
		if len(errs) == 0 {
			errs = append(errs, fmt.Errorf("none of the files %q exists", f.Paths))
		}
		return errors.Join(errs...)
	}
	if slices.EqualFunc(f.last, contents, bytes.Equal) {
		return nil
	}
	// A credential that the program renewed itself may be better than those in the files.
	if has := f.Transport.Credential(); has == nil || has == f.set || !has.better(best, now) {
		if err := f.Transport.Set(best); err != nil {
			return err
		}
		f.set = best
	}
	f.last = contents
	return nil
}

// Run reloads the files until ctx ends. Unreadable files are logged once, and the
// credential stays.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(readAgain)
	defer tick.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := f.Transport.Credential()
		text := ""
		if err := f.Load(); err != nil {
			if text = err.Error(); text != reported {
				klog.FromContext(ctx).Error(err, "Keeping the current credential for EPIC")
			}
		} else if now := f.Transport.Credential(); now != before {
			klog.FromContext(ctx).Info("Switched to another credential for EPIC", "server", now.Config.Host, "expires", now.Expires)
			if f.Observe != nil {
				f.Observe(now)
			}
		}
		reported = text
	}
}
