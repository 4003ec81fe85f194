// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/version"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"

	"github.com/acnodal/epic/pkg/apiserver"
	"github.com/acnodal/epic/pkg/apiserver/requestbounds"
)

// watchGracePeriod is how long a shutdown waits for watches to end. Without it, the
// server does not end them but waits for the clients.
const watchGracePeriod = 10 * time.Second

// RunOptions configures request limits and the shutdown.
type RunOptions struct {
	*genericoptions.ServerRunOptions
	registry basecompatibility.ComponentGlobalsRegistry
}

// NewRunOptions returns the defaults. It registers EPIC's component and, if missing, that
// of the generic API server.
func NewRunOptions(registry basecompatibility.ComponentGlobalsRegistry) (*RunOptions, error) {
	registry.ComponentGlobalsOrRegister(basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), utilfeature.DefaultMutableFeatureGate)
	registry.ComponentGlobalsOrRegister(apiserver.ComponentName,
		basecompatibility.NewEffectiveVersionFromString(apiserver.BinaryVersion, "", ""),
		featuregate.NewVersionedFeatureGate(version.MustParse(apiserver.BinaryVersion)))
	kube := registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent).BinaryVersion()
	if err := registry.SetVersionMapping(apiserver.ComponentName, basecompatibility.DefaultKubeComponent, apiserver.KubeVersion(kube)); err != nil {
		return nil, fmt.Errorf("can't register the versions of EPIC and Kubernetes: %w", err)
	}
	o := genericoptions.NewServerRunOptionsForComponent(apiserver.ComponentName, registry)
	o.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	o.MaxRequestBodyBytes = requestbounds.MaxBody
	o.JSONPatchMaxCopyBytes = requestbounds.MaxBody
	// The port stays open until all requests are completed; new ones are rejected with
	// Retry-After. Closing it then waits 2 s, instead of a minute, for peers that don't
	// close their connections.
	o.ShutdownSendRetryAfter = true
	return &RunOptions{ServerRunOptions: o, registry: registry}, nil
}

// AddFlags adds the flags for requests and those for versions to their groups.
func (o *RunOptions) AddFlags(requests, versions *pflag.FlagSet) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	// These two have no use, because the registry defines the component names and EPIC
	// has a single API version.
	addFlagsWithout(all, o.AddUniversalFlags, "emulation-forward-compatible", "runtime-config-emulation-forward-compatible")
	all.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "emulated-version", "min-compatibility-version", "feature-gates":
			versions.AddFlag(f)
		default:
			requests.AddFlag(f)
		}
	})
}

// Complete applies the feature gates and versions of the command line.
func (o *RunOptions) Complete() error {
	if err := o.registry.Set(); err != nil {
		return fmt.Errorf("--feature-gates, --emulated-version, --min-compatibility-version: %w", err)
	}
	return nil
}

// Validate checks the values.
func (o *RunOptions) Validate() []error {
	return append(o.ServerRunOptions.Validate(), o.registry.Validate()...)
}

// ApplyTo sets the limits, the versions and the feature gates.
func (o *RunOptions) ApplyTo(c *genericapiserver.Config) error {
	if err := o.ServerRunOptions.ApplyTo(c); err != nil {
		return err
	}
	// The feature gates that the generic API server uses are those of Kubernetes.
	c.FeatureGate = o.registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	c.EffectiveVersion = apiserver.ReportedVersion{
		EffectiveVersion: c.EffectiveVersion,
		Kubernetes:       o.registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent),
	}
	return nil
}
