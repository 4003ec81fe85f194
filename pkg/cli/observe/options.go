// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"net/http"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/healthz"
)

// Options holds the flags for metrics and health checks of a program.
type Options struct {
	// Address is the address of health checks over HTTP, and of metrics unless they are
	// served over HTTPS; empty disables both.
	Address string
	// Metrics holds the flags for metrics over HTTPS.
	Metrics Secure
}

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Address, "bind-address", o.Address, "Address on which to serve /healthz, /livez and /readyz over HTTP, and /metrics unless --secure-metrics-address is set; empty to disable.")
	o.Metrics.AddFlags(fs)
}

// Validate checks the flags.
func (o *Options) Validate() error { return o.Metrics.Validate() }

// Serve serves metrics, and the liveness and readiness checks, until stop is called.
func (o *Options) Serve(ctx context.Context, metrics http.Handler, live, ready []healthz.HealthChecker) (stop func(), err error) {
	stopSecure, err := o.Metrics.Serve(ctx, metrics)
	if err != nil {
		return nil, err
	}
	if o.Metrics.Enabled() {
		metrics = nil
	}
	stopPlain, err := servePlain(ctx, o.Address, metrics, live, ready)
	if err != nil {
		stopSecure()
		return nil, err
	}
	return func() { stopPlain(); stopSecure() }, nil
}
