// SPDX-License-Identifier: Apache-2.0

// Package install installs EPIC's CNI plugin on a node, restores it, and removes it: the
// program in the runtime's plugin directory, and an entry in the network configuration
// that the runtime uses, for any network plugin.
//
// It does not change a configuration that it can't parse. In other configurations, it only
// changes the list of plugins; the rest of the file stays identical, byte for byte.
package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/renameio/v2"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/cni/plugin"
)

const (
	// DefaultBinDir is the directory in which container runtimes look for plugins.
	DefaultBinDir = "/opt/cni/bin"
	// DefaultConfDir is the directory in which they look for network configurations.
	DefaultConfDir = "/etc/cni/net.d"

	// saved is appended to the name of a single-plugin configuration that was converted
	// to a list. Runtimes do not read such files.
	saved = ".before-epic"
	// interval is the interval of a full check, regardless of file system notifications.
	interval = 10 * time.Second
	// settle is how long changes are batched. It also slows down two installers that undo
	// each other's changes.
	settle = 500 * time.Millisecond
)

// Installer installs the plugin.
type Installer struct {
	// Program is the plugin's program, which is copied.
	Program string
	// BinDir and ConfDir are the runtime's directories.
	BinDir, ConfDir string
	// Config is the plugin's configuration; its type is set.
	Config plugin.Config
}

// ErrNoNetwork indicates that no network configuration exists yet.
var ErrNoNetwork = errors.New("there is no network configuration to which to add the plugin: install the cluster's network plugin")

// Install copies the program and adds the plugin to the configuration that the runtime
// uses: the first valid one. It reports whether it changed anything.
func (i *Installer) Install() (bool, error) {
	copied, err := i.copyProgram()
	if err != nil {
		return false, fmt.Errorf("install the plugin: %w", err)
	}
	configured, err := i.configure()
	return copied || configured, err
}

// copyProgram replaces the program atomically: a runtime that starts it gets either the
// old or the new one.
func (i *Installer) copyProgram() (bool, error) {
	data, err := os.ReadFile(i.Program)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: place %s next to the node program, or set --cni-program", err, plugin.Type)
	}
	if err != nil {
		return false, err
	}
	path := filepath.Join(i.BinDir, plugin.Type)
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, data) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == 0o755 {
			return false, nil
		}
	}
	if err := os.MkdirAll(i.BinDir, 0o755); err != nil { //nolint:gosec // like runtimes create it
		return false, err
	}
	return true, replace(path, data, 0o755, nil)
}

func (i *Installer) entry() (json.RawMessage, error) {
	c := i.Config
	c.Type, c.CNIVersion, c.Name, c.PrevResult, c.Valid = plugin.Type, "", "", nil, nil
	return json.Marshal(c)
}

func (i *Installer) configure() (bool, error) {
	entry, err := i.entry()
	if err != nil {
		return false, err
	}
	names, err := configurations(i.ConfDir)
	if err != nil {
		return false, err
	}
	var skipped []error
	for _, name := range names {
		changed, err := i.addTo(filepath.Join(i.ConfDir, name), entry)
		if errors.Is(err, errNotUnderstood) {
			// The runtime also skips it.
			skipped = append(skipped, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if err != nil {
			return false, fmt.Errorf("add the plugin to %s: %w", name, err)
		}
		return changed, nil
	}
	return false, errors.Join(append(skipped, ErrNoNetwork)...)
}

// configurations returns the names of the files that runtimes read, in their order.
func configurations(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".conf", ".conflist", ".json":
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

func (i *Installer) addTo(path string, entry json.RawMessage) (bool, error) {
	data, info, err := read(path)
	if err != nil {
		return false, err
	}
	if filepath.Ext(path) == ".conflist" {
		changed, err := addPlugin(data, entry)
		if err != nil || bytes.Equal(changed, data) {
			return false, err
		}
		return true, replace(path, changed, info.Mode().Perm(), info)
	}
	// Create the new file first: in the meantime, the runtime uses the old one.
	asList, err := listOf(data)
	if err != nil {
		return false, err
	}
	if asList, err = addPlugin(asList, entry); err != nil {
		return false, err
	}
	if err := replace(listPath(path), asList, info.Mode().Perm(), info); err != nil {
		return false, err
	}
	return true, os.Rename(path, path+saved)
}

// listPath returns the path of the list that replaces a single-plugin configuration.
func listPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".conflist"
}

// Uninstall removes the plugin from all configurations and removes the program. It
// restores a configuration that was converted to a list.
func (i *Installer) Uninstall() error {
	names, err := configurations(i.ConfDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := i.removeFrom(filepath.Join(i.ConfDir, name)); err != nil && !errors.Is(err, errNotUnderstood) {
			errs = append(errs, fmt.Errorf("remove the plugin from %s: %w", name, err))
		}
	}
	if len(errs) > 0 {
		// A configuration that names a missing program would block all pods.
		return errors.Join(errs...)
	}
	if err := os.Remove(filepath.Join(i.BinDir, plugin.Type)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (i *Installer) removeFrom(path string) error {
	if filepath.Ext(path) != ".conflist" {
		return nil
	}
	data, info, err := read(path)
	if err != nil {
		return err
	}
	changed, err := removePlugin(data)
	if err != nil || bytes.Equal(changed, data) {
		return err
	}
	if old, ok := single(path, changed); ok {
		if err := os.Rename(old, strings.TrimSuffix(old, saved)); err != nil {
			return err
		}
		return os.Remove(path)
	}
	return replace(path, changed, info.Mode().Perm(), info)
}

// single returns the saved configuration from which a list was made, if the list contains
// nothing else.
func single(path string, without []byte) (string, bool) {
	for _, ext := range []string{".conf", ".json"} {
		old := strings.TrimSuffix(path, ".conflist") + ext + saved
		data, err := os.ReadFile(old)
		if err != nil {
			continue
		}
		asList, err := listOf(data)
		if err == nil && sameJSON(asList, without) {
			return old, true
		}
	}
	return "", false
}

func read(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(path)
	return data, info, err
}

// replace replaces a file atomically, and preserves the given owner. It follows a link.
func replace(path string, data []byte, mode fs.FileMode, owner fs.FileInfo) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode.Perm()))
	if err != nil {
		return err
	}
	defer f.Cleanup() //nolint:errcheck // the first error is more informative
	if _, err := f.Write(data); err != nil {
		return err
	}
	if owner != nil {
		// Files owned by root do not require the capability to change owners.
		if s, ok := owner.Sys().(*syscall.Stat_t); ok && (int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid()) {
			if err := f.Chown(int(s.Uid), int(s.Gid)); err != nil {
				return err
			}
		}
	}
	return f.CloseAtomicallyReplace()
}

// Run installs the plugin and restores it whenever it is removed, until the context ends.
// The plugin then stays installed: replacing a node program must not change how pods
// start.
func (i *Installer) Run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the network configuration: %w", err)
	}
	defer func() { _ = watcher.Close() }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := ""
	for {
		for _, directory := range []string{i.ConfDir, i.BinDir} {
			// A directory that does not exist yet is checked again at the next tick.
			if err := watcher.Add(directory); err != nil {
				klog.FromContext(ctx).V(2).Info("Cannot watch a directory yet", "directory", directory, "reason", err)
			}
		}
		changed, err := i.Install()
		switch {
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			klog.FromContext(ctx).Error(err, "The CNI plugin is not installed; trying again when something changes")
		}
		if changed {
			klog.FromContext(ctx).Info("Installed the CNI plugin", "binDir", i.BinDir, "confDir", i.ConfDir)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-watcher.Events:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settle):
			}
			drain(watcher.Events)
		}
	}
}

func drain(events <-chan fsnotify.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}
