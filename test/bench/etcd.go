// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcdServer is an etcd of one member that syncs every write to disk. All that
// are compared run with the same settings.
type etcdServer struct {
	proc     *process
	endpoint string
	client   *clientv3.Client
}

func startEtcd(ctx context.Context, binary, dir, name string) (*etcdServer, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	e := &etcdServer{endpoint: fmt.Sprintf("http://127.0.0.1:%d", port)}
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	e.proc, err = startProcess(ctx, dir, name, binary, "--data-dir", filepath.Join(dir, name), "--quota-backend-bytes", fmt.Sprint(8<<30),
		"--listen-client-urls", e.endpoint, "--advertise-client-urls", e.endpoint,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL)
	if err != nil {
		return nil, err
	}
	if e.client, err = etcdClient(e.endpoint); err != nil {
		e.stop()
		return nil, err
	}
	err = e.proc.await(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := e.client.Get(ctx, "ready")
		return err
	})
	if err != nil {
		e.stop()
	}
	return e, err
}

func etcdClient(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

func (e *etcdServer) stop() {
	if e == nil {
		return
	}
	if e.client != nil {
		_ = e.client.Close()
	}
	e.proc.stop()
}

// size compacts and defragments, and returns what is left: the data without its
// history, in bytes.
func (e *etcdServer) size(ctx context.Context) (int64, error) {
	resp, err := e.client.Get(ctx, "revision")
	if err != nil {
		return 0, err
	}
	if _, err := e.client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return 0, err
	}
	if _, err := e.client.Defragment(ctx, e.endpoint); err != nil {
		return 0, err
	}
	status, err := e.client.Status(ctx, e.endpoint)
	if err != nil {
		return 0, err
	}
	return status.DbSize, nil
}

// objectSize returns the average size of the values below a prefix, in bytes.
func objectSize(ctx context.Context, client *clientv3.Client, prefix string) (int, error) {
	resp, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithLimit(1000))
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, kv := range resp.Kvs {
		sum += len(kv.Value)
	}
	return sum / max(len(resp.Kvs), 1), nil
}
