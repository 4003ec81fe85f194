// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

const (
	// MemberName is the name of the only member.
	MemberName = "epic"
	// PeerURL is the address that the member advertises to other members. There are none,
	// and nothing listens on it, but etcd requires an address. It does not depend on the
	// data directory, so the directory can be moved.
	PeerURL = "http://127.0.0.1:2380"
	// DefaultQuotaBytes is the database size at which etcd stops accepting writes. etcd's
	// documentation suggests 8 GiB as the maximum for normal environments.
	DefaultQuotaBytes = int64(8) << 30
	// DefaultStartTimeout limits the wait for a member to become ready.
	DefaultStartTimeout = time.Minute
)

// Config describes how to run the member.
type Config struct {
	// DataDir is the directory for everything that the member writes.
	DataDir string
	// QuotaBytes is the database size at which etcd stops accepting writes; 0 means
	// DefaultQuotaBytes.
	QuotaBytes int64
	// StartTimeout limits the wait until the member serves; 0 means DefaultStartTimeout.
	StartTimeout time.Duration
	// UnsafeNoFsync trades durability for speed. It is for tests only, and has no flag.
	UnsafeNoFsync bool
}

// Server is a running member.
type Server struct {
	dataDir string
	etcd    *embed.Etcd
	lock    *fileutil.LockedFile
	level   zap.AtomicLevel
	stop    sync.Once
	// space waits for the goroutine that watches for a full database, which endSpace
	// stops.
	space    sync.WaitGroup
	endSpace context.CancelFunc
	failed   chan error
}

// Start runs a member and returns once it serves. ctx limits the start and carries the
// logger. It does not stop the member; use Stop.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	dataDir, err := Prepare(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		dataDir: dataDir,
		lock:    lock,
		failed:  make(chan error, 1),
		// A start and a stop log many warnings that are harmless; relevant failures are
		// returned as errors.
		level: zap.NewAtomicLevelAt(zapcore.ErrorLevel),
	}
	if err := s.start(ctx, cfg); err != nil {
		s.Stop()
		return nil, fmt.Errorf("embedded etcd in %s did not start: %w", dataDir, err)
	}
	s.level.SetLevel(zapcore.WarnLevel)
	go s.watchErrors()
	// It outlives the start and ends with the member.
	space, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.endSpace = cancel
	s.space.Go(func() { s.watchSpace(space) })
	return s, nil
}

func (s *Server) start(ctx context.Context, cfg Config) (err error) {
	// Parts of etcd's recovery panic on damaged files. Report the directory instead of a
	// stack trace.
	defer func() {
		if r := recover(); r != nil {
			err = unreadable(fmt.Errorf("%v", r))
		}
	}()
	if err := checkDatabase(s.dataDir); err != nil {
		return unreadable(err)
	}

	timeout := cfg.StartTimeout
	if timeout == 0 {
		timeout = DefaultStartTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	s.etcd, err = embed.StartEtcd(s.etcdConfig(klog.FromContext(ctx).WithName("etcd"), cfg))
	if err != nil {
		return err
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("it stopped unexpectedly")
	case <-ctx.Done():
		return fmt.Errorf("it was not ready after %s: %w", timeout, ctx.Err())
	}
}

func (s *Server) etcdConfig(logger klog.Logger, cfg Config) *embed.Config {
	c := embed.NewConfig()
	c.Name = MemberName
	c.Dir = MemberDir(s.dataDir)
	c.InitialCluster = MemberName + "=" + PeerURL
	c.ListenPeerUrls = nil
	c.AdvertisePeerUrls = []url.URL{mustParse(PeerURL)}
	c.ListenClientUrls = []url.URL{{Scheme: "unix", Path: SocketPath(s.dataDir)}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	// The gateway is an additional JSON interface to the same data, which is not used.
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = cfg.QuotaBytes
	if c.QuotaBackendBytes == 0 {
		c.QuotaBackendBytes = DefaultQuotaBytes
	}
	// A single member can call its election early: a start takes a third of a second
	// instead of one.
	c.TickMs, c.ElectionMs = 50, 250
	c.UnsafeNoFsync = cfg.UnsafeNoFsync
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(logger, s.level))
	return c
}

func mustParse(raw string) url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return *u
}

// watchErrors forwards the first error of a serving member.
func (s *Server) watchErrors() {
	select {
	case err, ok := <-s.etcd.Err():
		if ok && err != nil {
			s.failed <- fmt.Errorf("embedded etcd in %s failed: %w", s.dataDir, err)
		}
	case <-s.etcd.Server.StopNotify():
	}
	close(s.failed)
}

// Endpoint returns the address of this member for an etcd client.
func (s *Server) Endpoint() string { return Endpoint(s.dataDir) }

// Failed returns a channel that receives the error of a member that fails while serving,
// and that is closed when the member has ended for any reason.
func (s *Server) Failed() <-chan error { return s.failed }

// Healthy returns nil if the member can serve. That includes a full member: it serves
// reads and accepts deletions, without which it would stay full.
func (s *Server) Healthy() error {
	select {
	case <-s.etcd.Server.StopNotify():
		return errors.New("embedded etcd has stopped")
	default:
	}
	if s.etcd.Server.Leader() == 0 {
		return errors.New("embedded etcd has no leader")
	}
	for _, alarm := range s.etcd.Server.Alarms() {
		if alarm.Alarm == etcdserverpb.AlarmType_CORRUPT {
			return fmt.Errorf("embedded etcd in %s detected damaged data: restore a snapshot into a new directory (epic-apiserver restore)", s.dataDir)
		}
	}
	return nil
}

// Stop stops the member: it completes requests in flight, closes the files, and releases
// the data directory for another process. It may be called twice.
func (s *Server) Stop() {
	s.stop.Do(func() {
		// etcd logs each listener that is closed as a failure of its server.
		s.level.SetLevel(zapcore.FatalLevel)
		if s.endSpace != nil {
			s.endSpace()
			s.space.Wait()
		}
		if s.etcd != nil {
			s.etcd.Close()
		}
		// Closing the file releases the lock.
		s.lock.Close() //nolint:errcheck,gosec // nothing is buffered
	})
}
