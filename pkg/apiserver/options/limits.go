// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/acnodal/epic/pkg/registry/usage"
)

const (
	defaultAccountObjects = 20000
	defaultAccountBytes   = 128 << 20
)

// LimitOptions configures the storage limits of accounts that set none themselves.
type LimitOptions struct {
	Account usage.Limits
}

// NewLimitOptions returns the defaults.
func NewLimitOptions() *LimitOptions {
	return &LimitOptions{Account: usage.Limits{Objects: defaultAccountObjects, Bytes: defaultAccountBytes}}
}

// AddFlags adds the flags.
func (o *LimitOptions) AddFlags(fs *pflag.FlagSet) {
	fs.Int64Var(&o.Account.Objects, "account-object-limit", o.Account.Objects, "Maximum number of objects of an account without spec.objectLimit; 0 for no limit")
	fs.Int64Var(&o.Account.Bytes, "account-storage-limit-bytes", o.Account.Bytes, "Maximum `BYTES` stored by an account without spec.storageLimitBytes; 0 for no limit")
}

// Validate checks the values.
func (o *LimitOptions) Validate() []error {
	var errs []error
	if o.Account.Objects < 0 {
		errs = append(errs, errors.New("--account-object-limit must not be negative: use 0 for no limit"))
	}
	if o.Account.Bytes < 0 {
		errs = append(errs, errors.New("--account-storage-limit-bytes must not be negative: use 0 for no limit"))
	}
	return errs
}
