// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// reloadInterval is the interval at which the file is read. It is small, and
// notifications are not reliable on a volume that a cluster updates.
const reloadInterval = 5 * time.Second

var (
	reloadFailures = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "tunnelkey", Name: "reload_failures_total",
		Help:           "Number of times that the file with the master keys of tunnels could not be read or was invalid. Previous keys stay in use.",
		StabilityLevel: metrics.ALPHA,
	})
	masterCount = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "tunnelkey", Name: "master_keys",
		Help:           "Master keys in use. With 0, requests for tunnel keys fail.",
		StabilityLevel: metrics.ALPHA,
	})
	sendID = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "tunnelkey", Name: "sending_key_id",
		Help:           "ID of the master key that tunnels send with.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() {
	legacyregistry.MustRegister(reloadFailures, masterCount, sendID)
}

// ErrNone indicates that there are no master keys.
var ErrNone = errors.New("this server has no master keys for tunnels: set --tunnel-key-file, which is read within seconds (hack/tunnel-keys.sh creates the file of a cluster)")

// File is a file with master keys that is reloaded when it changes. A nil File has no
// keys.
type File struct {
	path string

	mu      sync.RWMutex
	current *Masters
	// fault is the last error, so each is logged once.
	fault string
}

// Open reads the file. A missing file is not an error, because it may be created; an
// invalid one is.
func Open(ctx context.Context, path string) (*File, error) {
	f := &File{path: path}
	switch err := f.load(ctx); {
	case errors.Is(err, fs.ErrNotExist):
		f.report(ctx, err)
	case err != nil:
		return nil, err
	}
	return f, nil
}

// Current returns the currently valid keys, or ErrNone.
func (f *File) Current() (*Masters, error) {
	if f == nil {
		return nil, ErrNone
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.current == nil {
		return nil, ErrNone
	}
	return f.current, nil
}

// Run reads the file periodically until ctx ends. An invalid file has no effect: the last
// valid keys stay.
func (f *File) Run(ctx context.Context) {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.reload(ctx)
		}
	}
}

func (f *File) reload(ctx context.Context) {
	if err := f.load(ctx); err != nil {
		reloadFailures.Inc()
		f.report(ctx, err)
	}
}

// report logs an error if it is new.
func (f *File) report(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == err.Error() {
		return
	}
	f.fault = err.Error()
	var kept []int32
	if f.current != nil {
		kept = f.current.IDs()
	}
	klog.FromContext(ctx).Error(err, "Can't read the master keys of tunnels", "keptIDs", kept)
}

func (f *File) load(ctx context.Context) error {
	text, err := f.read()
	if err != nil {
		return fmt.Errorf("--tunnel-key-file: %w", err)
	}
	parsed, err := Parse(text)
	clear(text)
	if err != nil {
		return fmt.Errorf("--tunnel-key-file: %s: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = ""
	if parsed.Equal(f.current) {
		return nil
	}
	f.current = parsed
	ids := parsed.IDs()
	masterCount.Set(float64(len(ids)))
	sendID.Set(float64(ids[0]))
	klog.FromContext(ctx).Info("Read the master keys of tunnels", "file", f.path, "ids", ids)
	return nil
}

// read returns the file's text, or an error if everybody on this machine could read the
// file.
func (f *File) read() (text []byte, err error) {
	// Without O_NONBLOCK, a named pipe would block the start of the server.
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", f.path)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s has mode %#o, with which every user of this machine can use it: chmod 0600 it, or mount its Secret with defaultMode 0440", f.path, mode)
	}
	return io.ReadAll(io.LimitReader(file, maxFileSize+1))
}
