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

// watchGracePeriod is how long a shutdown waits for watches to end. Without it
// the server does not end them at all, and waits for the clients instead.
const watchGracePeriod = 10 * time.Second

// RunOptions limits requests and describes how the server ends.
type RunOptions struct {
	*genericoptions.ServerRunOptions
	registry basecompatibility.ComponentGlobalsRegistry
}

// NewRunOptions returns the defaults. The registry gets EPIC's component and
// has or gets that of the generic API server.
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
	// The port stays open until all requests are answered; new ones are told to
	// come again. Closing it then waits 2 s for peers that don't hang up, and
	// not for a minute.
	o.ShutdownSendRetryAfter = true
	return &RunOptions{ServerRunOptions: o, registry: registry}, nil
}

// AddFlags adds the flags on requests and those on versions to their groups.
func (o *RunOptions) AddFlags(requests, versions *pflag.FlagSet) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	// Both names of the registry's flags and EPIC's single API version leave
	// nothing for these two to do.
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

// Complete makes the feature gates and versions of the command line stand.
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
	// The gates that the generic API server asks for are Kubernetes' own.
	c.FeatureGate = o.registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	c.EffectiveVersion = apiserver.ReportedVersion{
		EffectiveVersion: c.EffectiveVersion,
		Kubernetes:       o.registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent),
	}
	return nil
}
