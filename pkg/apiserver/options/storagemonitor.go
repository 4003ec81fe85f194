// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"errors"
	"sync"

	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	storagefactory "k8s.io/apiserver/pkg/storage/storagebackend/factory"

	"github.com/acnodal/epic/pkg/scrape"
)

var errMonitorClosed = errors.New("the server has stopped")

// storageMonitor reads the size of the database for scrapes, without making them wait for an
// etcd that does not answer. The one of k8s.io/apiserver waits a second for its answer, or 20
// seconds if it has not connected before.
type storageMonitor struct {
	config storagebackend.Config
	size   *scrape.Value[etcd3metrics.StorageMetrics]

	mu     sync.Mutex
	etcd   etcd3metrics.Monitor
	closed bool
}

// newStorageMonitor returns the monitors of a database until stop is closed.
func newStorageMonitor(config storagebackend.Config, stop <-chan struct{}) func() ([]etcd3metrics.Monitor, error) {
	m := &storageMonitor{config: config}
	m.size = scrape.NewValue(m.ask)
	go func() {
		<-stop
		_ = m.Close()
	}()
	return func() ([]etcd3metrics.Monitor, error) { return []etcd3metrics.Monitor{m}, nil }
}

// Monitor implements metrics.Monitor.
func (m *storageMonitor) Monitor(context.Context) (etcd3metrics.StorageMetrics, error) {
	size, known, err := m.size.Get()
	switch {
	case known:
		return size, nil
	case err == nil:
		err = context.DeadlineExceeded
	}
	return size, err
}

// ask asks etcd. Only one call runs at a time.
func (m *storageMonitor) ask(ctx context.Context) (etcd3metrics.StorageMetrics, error) {
	etcd, err := m.connection()
	if err != nil {
		return etcd3metrics.StorageMetrics{}, err
	}
	return etcd.Monitor(ctx)
}

// connection returns the connection to etcd, and makes it if there is none.
func (m *storageMonitor) connection() (etcd3metrics.Monitor, error) {
	m.mu.Lock()
	etcd, closed := m.etcd, m.closed
	m.mu.Unlock()
	if closed {
		return nil, errMonitorClosed
	}
	if etcd != nil {
		return etcd, nil
	}
	etcd, err := storagefactory.CreateMonitor(m.config)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.Join(errMonitorClosed, etcd.Close())
	}
	m.etcd = etcd
	return etcd, nil
}

// Close implements metrics.Monitor.
func (m *storageMonitor) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.etcd == nil {
		return nil
	}
	err := m.etcd.Close()
	m.etcd = nil
	return err
}
