// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	"github.com/acnodal/epic/pkg/pki"
)

const (
	// DefaultEtcdPrefix is the prefix of all of EPIC's keys.
	DefaultEtcdPrefix = "/epic"

	defaultEtcdStartTimeout = 30 * time.Second
	// askEtcdTimeout limits one attempt to reach one server.
	askEtcdTimeout = 3 * time.Second
	// An audit reads all data, so it should be infrequent.
	defaultAuditInterval = time.Hour
	// defaultAddressCooling exceeds the lifetime of most DNS records and of most idle
	// connections of clients.
	defaultAddressCooling = 5 * time.Minute
)

// EtcdOptions configures which etcd to use and how. If no servers are named, the embedded
// one of EmbeddedEtcdOptions is used.
type EtcdOptions struct {
	*genericoptions.EtcdOptions
	// StartTimeout limits the wait for etcd when the server starts.
	StartTimeout time.Duration
	// AuditInterval is the time between two audits of objects and claims.
	AuditInterval time.Duration
	// AddressCooling is how long a released address is withheld from other accounts.
	AddressCooling time.Duration
}

// NewEtcdOptions returns the defaults.
func NewEtcdOptions() *EtcdOptions {
	o := &EtcdOptions{
		// The storage factory sets the codec for each resource.
		EtcdOptions:   genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(DefaultEtcdPrefix, nil)),
		StartTimeout:  defaultEtcdStartTimeout,
		AuditInterval: defaultAuditInterval,

		AddressCooling: defaultAddressCooling,
	}
	o.DefaultStorageMediaType = runtime.ContentTypeProtobuf
	return o
}

// AddFlags adds the flags.
func (o *EtcdOptions) AddFlags(fs *pflag.FlagSet) {
	addFlagsWithout(fs, o.EtcdOptions.AddFlags,
		// One connection serves all kinds, because a transaction writes an object with
		// its claims: no kind can be in another etcd.
		"etcd-servers-overrides",
		// There is only one backend, and the watch caches determine their own sizes.
		"storage-backend", "default-watch-cache-size", "watch-cache-sizes",
		// Without it, objects with an owner would never be deleted.
		"enable-garbage-collector",
		// Nothing expires.
		"lease-reuse-duration-seconds",
	)
	fs.DurationVar(&o.StartTimeout, "etcd-start-timeout", o.StartTimeout, "Fail if no etcd responds within this time at startup")
	fs.DurationVar(&o.AuditInterval, "claims-audit-interval", o.AuditInterval, "Time between two comparisons of objects and their claims; 0 disables them")
	fs.DurationVar(&o.AddressCooling, "address-cooling-period", o.AddressCooling, "How long a released address can't be assigned to another account; 0 disables the wait")
}

// Validate checks the values. embedded indicates that no etcd server has to be named.
func (o *EtcdOptions) Validate(embedded bool) []error {
	check := *o.EtcdOptions
	if embedded {
		check.StorageConfig.Transport.ServerList = []string{"unix:///embedded"}
	}
	errs := check.Validate()
	tp := o.StorageConfig.Transport
	if (tp.CertFile == "") != (tp.KeyFile == "") {
		errs = append(errs, errors.New("--etcd-certfile and --etcd-keyfile must be set together: set both, or none"))
	}
	for _, server := range tp.ServerList {
		if !strings.Contains(server, "://") {
			errs = append(errs, fmt.Errorf("--etcd-servers: %q has no scheme: write http://%s or https://%s", server, server, server))
		}
	}
	if !path.IsAbs(o.StorageConfig.Prefix) || path.Clean(o.StorageConfig.Prefix) == "/" {
		errs = append(errs, fmt.Errorf("--etcd-prefix must start with a slash and not be empty, as in %s; it is %q", DefaultEtcdPrefix, o.StorageConfig.Prefix))
	}
	if o.StartTimeout <= 0 {
		errs = append(errs, fmt.Errorf("--etcd-start-timeout is %s: set a duration above 0", o.StartTimeout))
	}
	if o.AuditInterval < 0 {
		errs = append(errs, fmt.Errorf("--claims-audit-interval is %s: set 0 to disable the audit, or a positive duration", o.AuditInterval))
	}
	if o.AddressCooling < 0 {
		errs = append(errs, fmt.Errorf("--address-cooling-period is %s: set 0 to disable it, or a positive duration", o.AddressCooling))
	}
	return errs
}

// Check verifies, before anything else uses them, that the certificates are valid and
// that etcd responds.
func (o *EtcdOptions) Check(ctx context.Context) error {
	if err := CheckEtcdFiles(o.StorageConfig.Transport); err != nil {
		return err
	}
	return WaitForEtcd(ctx, o.StorageConfig.Transport, o.StartTimeout)
}

// CheckEtcdFiles verifies that the certificates for etcd can be used.
func CheckEtcdFiles(tp storagebackend.TransportConfig) error {
	if tp.TrustedCAFile != "" {
		if err := pki.CheckFile("etcd-cafile", tp.TrustedCAFile, time.Now()); err != nil {
			return err
		}
	}
	if tp.CertFile == "" {
		return nil
	}
	if err := pki.CheckFile("etcd-certfile", tp.CertFile, time.Now()); err != nil {
		return err
	}
	if _, err := tls.LoadX509KeyPair(tp.CertFile, tp.KeyFile); err != nil {
		return fmt.Errorf("the certificate in --etcd-certfile and the key in --etcd-keyfile do not match: %w", err)
	}
	return nil
}

// EtcdClientConfig returns the configuration for a plain etcd client to reach the
// servers.
func EtcdClientConfig(tp storagebackend.TransportConfig) (clientv3.Config, error) {
	cfg := clientv3.Config{
		Endpoints:   tp.ServerList,
		DialTimeout: 5 * time.Second,
		// Messages of etcd's client are returned as errors.
		Logger: zap.NewNop(),
	}
	if tp.CertFile == "" && tp.TrustedCAFile == "" {
		return cfg, nil
	}
	info := transport.TLSInfo{CertFile: tp.CertFile, KeyFile: tp.KeyFile, TrustedCAFile: tp.TrustedCAFile}
	tlsConfig, err := info.ClientConfig()
	if err != nil {
		return cfg, fmt.Errorf("--etcd-certfile, --etcd-keyfile, --etcd-cafile: %w", err)
	}
	cfg.TLS = tlsConfig
	return cfg, nil
}

// WaitForEtcd returns once one of the servers responds to a read. After the timeout, it
// returns an error with the response of each server.
func WaitForEtcd(ctx context.Context, tp storagebackend.TransportConfig, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	last := make([]error, len(tp.ServerList))
	for {
		for i, server := range tp.ServerList {
			err := askEtcd(ctx, tp, server)
			if err == nil {
				return nil
			}
			// An error caused only by the timeout is less informative than an earlier
			// error.
			if last[i] == nil || time.Now().Before(end) {
				last[i] = fmt.Errorf("%s: %w", server, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("--etcd-servers: no etcd responded within %s (--etcd-start-timeout): %w: start etcd, or correct the address or the certificates", timeout, errors.Join(last...))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func askEtcd(ctx context.Context, tp storagebackend.TransportConfig, server string) error {
	tp.ServerList = []string{server}
	cfg, err := EtcdClientConfig(tp)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askEtcdTimeout)
	defer cancel()
	if err := dialEtcd(ctx, server, cfg.TLS); err != nil {
		return err
	}
	client, err := clientv3.New(cfg)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // it was only queried
	// Use a linearizable read: a member without quorum can't serve.
	_, err = client.Get(ctx, "epic-start", clientv3.WithCountOnly())
	return err
}

// dialEtcd connects and completes the TLS handshake. If that fails, etcd's client would
// retry until its timeout, and then report only the timeout.
func dialEtcd(ctx context.Context, server string, tlsConfig *tls.Config) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	var conn net.Conn
	switch u.Scheme {
	case "unix", "unixs":
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", u.Host+u.Path)
	case "https":
		conn, err = (&tls.Dialer{Config: tlsConfig}).DialContext(ctx, "tcp", u.Host)
	default:
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// ApplyTo sets the server's storage, health checks and encryption at rest.
func (o *EtcdOptions) ApplyTo(c *genericapiserver.Config) error {
	storageConfig := o.StorageConfig
	storageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	factory := &groupStorageFactory{serverstorage.NewDefaultStorageFactory(
		storageConfig,
		o.DefaultStorageMediaType,
		scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfigForEffectiveVersion(scheme.Scheme, c.EffectiveVersion),
		serverstorage.NewResourceConfig(),
		nil,
	)}
	if err := o.ApplyWithStorageFactoryTo(factory, c); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	etcd3metrics.SetStorageMonitorGetter(newStorageMonitor(storageConfig, c.DrainedNotify()))
	return nil
}

// groupStorageFactory adds the API group to the keys, so several API servers that share
// an etcd can't confuse their resources.
type groupStorageFactory struct {
	*serverstorage.DefaultStorageFactory
}

// ResourcePrefix implements serverstorage.StorageFactory.
func (f *groupStorageFactory) ResourcePrefix(resource schema.GroupResource) string {
	return resource.Group + "/" + resource.Resource
}
