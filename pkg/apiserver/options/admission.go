// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apiserver/admission/metadatabounds"
	"github.com/acnodal/epic/pkg/apiserver/admission/noderestriction"
	"github.com/acnodal/epic/pkg/apiserver/admission/systemfinalizers"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
)

// AdmissionOptions configures the admission plugins: those of the generic server
// (namespace lifecycle, webhooks, policies) and object quotas.
type AdmissionOptions struct {
	*genericoptions.AdmissionOptions
}

// NewAdmissionOptions returns the defaults.
func NewAdmissionOptions() *AdmissionOptions {
	o := genericoptions.NewAdmissionOptions()
	resourcequota.Register(o.Plugins)
	// Add it last, so no later plugin rejects what has already been counted.
	o.RecommendedPluginOrder = append(o.RecommendedPluginOrder, resourcequota.PluginName)
	return &AdmissionOptions{o}
}

// AddFlags adds the flags.
func (o *AdmissionOptions) AddFlags(fs *pflag.FlagSet) { o.AdmissionOptions.AddFlags(fs) }

// ApplyTo sets the server's admission chain.
func (o *AdmissionOptions) ApplyTo(c *genericapiserver.RecommendedConfig, kube kubernetes.Interface, dyn dynamic.Interface) error {
	err := o.AdmissionOptions.ApplyTo(&c.Config, c.SharedInformerFactory, kube, dyn, c.FeatureGate, c.EffectiveVersion, quotaInitializer{})
	if err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}

// addOwnAdmission adds EPIC's own rules before the plugins that the command line selects.
// They are part of the API, and can't be disabled.
func addOwnAdmission(c *genericapiserver.Config, nodes *nodeidentity.Identifier, placements *placement.Checker) {
	c.AdmissionControl = admission.NewChainHandler(
		metadatabounds.New(),
		noderestriction.New(nodes, placements),
		systemfinalizers.New(c.Authorization.Authorizer),
		c.AdmissionControl,
	)
}

// Enabled reports whether a plugin is enabled.
func (o *AdmissionOptions) Enabled(plugin string) bool {
	for _, name := range o.EnablePlugins {
		if name == plugin {
			return true
		}
	}
	for _, name := range o.DisablePlugins {
		if name == plugin {
			return false
		}
	}
	return !o.DefaultOffPlugins.Has(plugin)
}

// quotaInitializer configures the quota plugin to count only objects
// (count/loadbalancers.epic.acnodal.io), which require no evaluators.
type quotaInitializer struct{}

// Initialize implements admission.PluginInitializer.
func (quotaInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
}
