// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"

	"github.com/spf13/pflag"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
)

// Options holds all options of the command line.
type Options struct {
	Standalone *StandaloneOptions
	Etcd       *EtcdOptions
	Embedded   *EmbeddedEtcdOptions
	Backup     *BackupOptions
	Serving    *ServingOptions
	Kube       *KubeOptions
	Admission  *AdmissionOptions
	Nodes      *NodeOptions
	Limits     *LimitOptions
	Run        *RunOptions
	Features   *genericoptions.FeatureOptions
	Observe    *ObserveOptions
	Logs       *logsapi.LoggingConfiguration

	registry basecompatibility.ComponentGlobalsRegistry
}

// NewOptions returns the defaults. The flags change the versions and feature gates in the
// registry.
func NewOptions(registry basecompatibility.ComponentGlobalsRegistry) (*Options, error) {
	run, err := NewRunOptions(registry)
	if err != nil {
		return nil, err
	}
	return &Options{
		Standalone: NewStandaloneOptions(),
		Etcd:       NewEtcdOptions(),
		Embedded:   NewEmbeddedEtcdOptions(),
		Backup:     NewBackupOptions(),
		Serving:    NewServingOptions(),
		Kube:       NewKubeOptions(),
		Admission:  NewAdmissionOptions(),
		Nodes:      NewNodeOptions(),
		Limits:     NewLimitOptions(),
		Run:        run,
		Features:   genericoptions.NewFeatureOptions(),
		Observe:    NewObserveOptions(),
		Logs:       logsapi.NewLoggingConfiguration(),
		registry:   registry,
	}, nil
}

// Flags returns the flags in groups, in the order in which they are needed to set up a
// server. Flags of the generic API server keep their help texts.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var fss cliflag.NamedFlagSets
	o.Standalone.AddFlags(fss.FlagSet("standalone mode"))
	o.Embedded.AddFlags(fss.FlagSet("embedded etcd"))
	o.Etcd.AddFlags(fss.FlagSet("storage"))
	o.Backup.AddFlags(fss.FlagSet("scheduled snapshots"))
	o.Serving.AddFlags(fss.FlagSet("serving"))
	o.Kube.AddFlags(fss.FlagSet("kube-apiserver"), fss.FlagSet("authentication"), fss.FlagSet("authorization"))
	o.Admission.AddFlags(fss.FlagSet("admission"))
	o.Nodes.AddFlags(fss.FlagSet("nodes and tunnels"))
	o.Limits.AddFlags(fss.FlagSet("limits of accounts"))
	o.Run.AddFlags(fss.FlagSet("requests and shutdown"), fss.FlagSet("versions and features"))
	o.Features.AddFlags(fss.FlagSet("versions and features"))
	o.Observe.AddFlags(fss.FlagSet("audit"), fss.FlagSet("tracing"))
	logsapi.AddFlags(o.Logs, fss.FlagSet("logs"))
	return fss
}

// EmbedsEtcd reports whether the server runs an embedded etcd.
func (o *Options) EmbedsEtcd() bool { return len(o.Etcd.StorageConfig.Transport.ServerList) == 0 }

// Complete sets values that follow from other options. fs is the parsed flag set.
func (o *Options) Complete(fs *pflag.FlagSet) error {
	o.Kube.Complete()
	o.Standalone.DefaultBindAddress(fs, o.Serving)
	if o.Standalone.Enabled {
		// Flow schemas are stored in a kube-apiserver. Use the plain limits on requests
		// in flight instead.
		o.Features.EnablePriorityAndFairness = false
	}
	return o.Run.Complete()
}

// Validate checks the values and returns all errors.
func (o *Options) Validate() error {
	var errs []error
	errs = append(errs, o.Standalone.Validate(o.Embedded.DataDir)...)
	// For a standalone server, the missing directory is already reported.
	errs = append(errs, o.Embedded.Validate(o.EmbedsEtcd() && !o.Standalone.Enabled)...)
	errs = append(errs, o.Etcd.Validate(o.EmbedsEtcd())...)
	errs = append(errs, o.Backup.Validate()...)
	errs = append(errs, o.Serving.Validate(o.Standalone.Enabled)...)
	if !o.Standalone.Enabled {
		errs = append(errs, o.Kube.Validate()...)
		errs = append(errs, o.Admission.Validate()...)
	}
	errs = append(errs, o.Nodes.Validate()...)
	errs = append(errs, o.Limits.Validate()...)
	errs = append(errs, o.Run.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Observe.Validate()...)
	return errors.Join(errs...)
}
