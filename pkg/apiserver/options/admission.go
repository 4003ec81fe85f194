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

// AdmissionOptions specifies which admission plugins see a write: those of the
// generic server (namespace lifecycle, webhooks, policies) and object quotas.
type AdmissionOptions struct {
	*genericoptions.AdmissionOptions
}

// NewAdmissionOptions returns the defaults.
func NewAdmissionOptions() *AdmissionOptions {
	o := genericoptions.NewAdmissionOptions()
	resourcequota.Register(o.Plugins)
	// Last, so no later plugin refuses what has been counted already.
	o.RecommendedPluginOrder = append(o.RecommendedPluginOrder, resourcequota.PluginName)
	return &AdmissionOptions{o}
}

// AddFlags adds the flags.
func (o *AdmissionOptions) AddFlags(fs *pflag.FlagSet) { o.AdmissionOptions.AddFlags(fs) }

// ApplyTo gives the server its admission chain.
func (o *AdmissionOptions) ApplyTo(c *genericapiserver.RecommendedConfig, kube kubernetes.Interface, dyn dynamic.Interface) error {
	err := o.AdmissionOptions.ApplyTo(&c.Config, c.SharedInformerFactory, kube, dyn, c.FeatureGate, c.EffectiveVersion, quotaInitializer{})
	if err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}

// addOwnAdmission puts EPIC's own rules before the plugins that the command line
// chooses. They are part of the API, and nobody can leave them out.
func addOwnAdmission(c *genericapiserver.Config, nodes *nodeidentity.Identifier, placements *placement.Checker) {
	c.AdmissionControl = admission.NewChainHandler(
		metadatabounds.New(),
		noderestriction.New(nodes, placements),
		systemfinalizers.New(c.Authorization.Authorizer),
		c.AdmissionControl,
	)
}

// Enabled reports whether a plugin takes part.
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

// quotaInitializer tells the quota plugin that there is nothing to count but
// objects (count/loadbalancers.epic.acnodal.io), for which it does not need help.
type quotaInitializer struct{}

// Initialize implements admission.PluginInitializer.
func (quotaInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
}
