// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // so that --logging-format=json works
	"k8s.io/klog/v2"
)

// Logs holds the logging flags of a program without its own feature gates.
type Logs struct {
	config *logsapi.LoggingConfiguration
	gate   featuregate.MutableVersionedFeatureGate
}

// NewLogs returns the defaults.
func NewLogs() *Logs {
	l := &Logs{config: logsapi.NewLoggingConfiguration(), gate: featuregate.NewFeatureGate()}
	utilruntime.Must(logsapi.AddFeatureGates(l.gate))
	return l
}

// AddFlags adds the flags.
func (l *Logs) AddFlags(fs *pflag.FlagSet) { logsapi.AddFlags(l.config, fs) }

// Before returns the function of a command. It validates the flags, applies them to the
// process, and calls run with a context that has the logger. It may succeed only once.
func (l *Logs) Before(run func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error {
		if err := ApplyLogs(l.config, l.gate); err != nil {
			return err
		}
		return run(klog.NewContext(c.Context(), klog.Background()))
	}
}

// ApplyLogs validates a logging configuration and applies it to the process. It is for
// programs whose configuration and feature gates are defined elsewhere.
func ApplyLogs(config *logsapi.LoggingConfiguration, gate featuregate.FeatureGate) error {
	if err := logsapi.ValidateAndApply(config, gate); err != nil {
		return fmt.Errorf("--logging-format and the other flags on logs: %w", err)
	}
	return nil
}
