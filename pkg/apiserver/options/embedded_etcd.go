// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

// minEmbeddedQuota is far above what an empty etcd needs, so it catches a number in the
// wrong unit.
const minEmbeddedQuota = 16 << 20

// EmbeddedEtcdOptions configures the etcd in this process.
type EmbeddedEtcdOptions struct {
	// DataDir holds the data of the embedded etcd and, in standalone mode, the
	// certificates.
	DataDir string
	// QuotaBytes is the database size at which it stops accepting writes.
	QuotaBytes int64
	// UnsafeNoFsync is for tests and has no flag.
	UnsafeNoFsync bool
}

// NewEmbeddedEtcdOptions returns the defaults.
func NewEmbeddedEtcdOptions() *EmbeddedEtcdOptions {
	return &EmbeddedEtcdOptions{QuotaBytes: embedetcd.DefaultQuotaBytes}
}

// AddFlags adds the flags.
func (o *EmbeddedEtcdOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "`DIR` for data and standalone certificates; embeds an etcd without --etcd-servers")
	fs.Int64Var(&o.QuotaBytes, "embedded-etcd-quota-bytes", o.QuotaBytes, "Refuse writes when the embedded etcd's database has this many `BYTES`")
}

// Validate checks the values. enabled indicates that the embedded etcd will run.
func (o *EmbeddedEtcdOptions) Validate(enabled bool) []error {
	var errs []error
	if enabled && o.DataDir == "" {
		errs = append(errs, fmt.Errorf("no storage is configured: set --etcd-servers, or --data-dir to use an embedded etcd"))
	}
	if o.QuotaBytes < minEmbeddedQuota {
		errs = append(errs, fmt.Errorf("--embedded-etcd-quota-bytes is %d: set at least %d", o.QuotaBytes, minEmbeddedQuota))
	}
	return errs
}

// Start runs the embedded etcd.
func (o *EmbeddedEtcdOptions) Start(ctx context.Context) (*embedetcd.Server, error) {
	server, err := embedetcd.Start(ctx, embedetcd.Config{DataDir: o.DataDir, QuotaBytes: o.QuotaBytes, UnsafeNoFsync: o.UnsafeNoFsync})
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	return server, nil
}
