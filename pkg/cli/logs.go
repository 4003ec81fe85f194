// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // so that --logging-format=json works
)

// Logs are the flags on logs of a program that has no feature gates of its own.
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

// Apply checks the flags, and makes them hold for the process. It may succeed
// once.
func (l *Logs) Apply() error { return ApplyLogs(l.config, l.gate) }

// ApplyLogs does this for a program that has the configuration and feature gates
// elsewhere.
func ApplyLogs(config *logsapi.LoggingConfiguration, gate featuregate.FeatureGate) error {
	if err := logsapi.ValidateAndApply(config, gate); err != nil {
		return fmt.Errorf("--logging-format and the other flags on logs: %w", err)
	}
	return nil
}
