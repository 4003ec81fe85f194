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
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	"github.com/acnodal/epic/pkg/pki"
)

const (
	// DefaultEtcdPrefix is the key under which everything of EPIC lies.
	DefaultEtcdPrefix = "/epic"

	defaultEtcdStartTimeout = 30 * time.Second
	// askEtcdTimeout bounds one attempt to reach one server.
	askEtcdTimeout = 3 * time.Second
	// An audit reads everything, so it is rare.
	defaultAuditInterval = time.Hour
	// defaultAddressCooling is longer than most DNS records and idle connections
	// of clients live.
	defaultAddressCooling = 5 * time.Minute
)

// EtcdOptions specifies which etcd to use and how. With no servers named, the
// embedded one of EmbeddedEtcdOptions is used.
type EtcdOptions struct {
	*genericoptions.EtcdOptions
	// StartTimeout bounds the wait for etcd at the start of the server.
	StartTimeout time.Duration
	// AuditInterval is the time between two comparisons of objects and claims.
	AuditInterval time.Duration
	// AddressCooling is how long a released address is kept from other accounts.
	AddressCooling time.Duration
}

// NewEtcdOptions returns the defaults.
func NewEtcdOptions() *EtcdOptions {
	o := &EtcdOptions{
		// The codec comes from the storage factory, for each resource.
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
		// One connection serves all kinds, because a transaction writes an object
		// with its claims: no kind can live in another etcd.
		"etcd-servers-overrides",
		// There is one backend, and the watch caches size themselves.
		"storage-backend", "default-watch-cache-size", "watch-cache-sizes",
		// Objects with an owner would stay forever without it.
		"enable-garbage-collector",
		// Nothing here expires.
		"lease-reuse-duration-seconds",
	)
	fs.DurationVar(&o.StartTimeout, "etcd-start-timeout", o.StartTimeout, "Fail if no etcd responds within this time at startup")
	fs.DurationVar(&o.AuditInterval, "claims-audit-interval", o.AuditInterval, "Time between two comparisons of objects and their claims; 0 disables them")
	fs.DurationVar(&o.AddressCooling, "address-cooling-period", o.AddressCooling, "How long a released address can't be assigned to another account; 0 disables the wait")
}

// Validate checks the values. embedded indicates that no etcd server needs to be named.
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

// Check makes sure that the certificates are good and that etcd answers, before
// anything is built on it.
func (o *EtcdOptions) Check(ctx context.Context) error {
	if err := CheckEtcdFiles(o.StorageConfig.Transport); err != nil {
		return err
	}
	return WaitForEtcd(ctx, o.StorageConfig.Transport, o.StartTimeout)
}

// CheckEtcdFiles makes sure that the certificates for etcd can be used.
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

// EtcdClientConfig returns what a plain etcd client needs to reach the servers.
func EtcdClientConfig(tp storagebackend.TransportConfig) (clientv3.Config, error) {
	cfg := clientv3.Config{
		Endpoints:   tp.ServerList,
		DialTimeout: 5 * time.Second,
		// What etcd's client has to say comes back as an error.
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

// WaitForEtcd returns once one of the servers answers a read, and otherwise,
// after the timeout, an error that describes what each of them answered.
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
			// What only the end of the time has caused says less than what a
			// server answered before.
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
	defer client.Close() //nolint:errcheck // it was only asked
	// A linearizable read: a member that has lost its quorum is no etcd.
	_, err = client.Get(ctx, "epic-start", clientv3.WithCountOnly())
	return err
}

// dialEtcd connects and shakes hands. Where that fails, etcd's client would try
// again until its time is up, and then say only that it is.
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

// ApplyTo gives the server its storage, health checks and encryption at rest.
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
	return nil
}

// groupStorageFactory puts the API group into the keys, so an etcd that
// several API servers share can't confuse their resources.
type groupStorageFactory struct {
	*serverstorage.DefaultStorageFactory
}

// ResourcePrefix implements serverstorage.StorageFactory.
func (f *groupStorageFactory) ResourcePrefix(resource schema.GroupResource) string {
	return resource.Group + "/" + resource.Resource
}
