// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"

	"github.com/spf13/pflag"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/tunnelkeys"
)

// ObserveOptions configures the audit log, the traces and the profiles of the server.
type ObserveOptions struct {
	// Audit logs requests and their users.
	Audit *genericoptions.AuditOptions
	// Traces sends spans to an OpenTelemetry collector.
	Traces *genericoptions.TracingOptions
}

// NewObserveOptions returns the defaults.
func NewObserveOptions() *ObserveOptions {
	return &ObserveOptions{Audit: genericoptions.NewAuditOptions(), Traces: genericoptions.NewTracingOptions()}
}

// AddFlags adds the flags to their groups.
func (o *ObserveOptions) AddFlags(audit, traces *pflag.FlagSet) {
	o.Audit.AddFlags(audit)
	o.Traces.AddFlags(traces)
}

// Validate checks the values.
func (o *ObserveOptions) Validate() []error {
	return append(o.Audit.Validate(), o.Traces.Validate()...)
}

// ApplyTo sets audit and tracing.
func (o *ObserveOptions) ApplyTo(c *genericapiserver.Config) error {
	if err := o.Traces.ApplyTo(nil, c); err != nil {
		return fmt.Errorf("--tracing-config-file: %w", err)
	}
	if err := o.Audit.ApplyTo(c); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if c.AuditPolicyRuleEvaluator != nil {
		c.AuditPolicyRuleEvaluator = withoutKeys{c.AuditPolicyRuleEvaluator}
	}
	return nil
}

// withoutKeys keeps the keys of tunnels out of the audit log, regardless of the policy:
// the log may record who reads keys, but never the keys.
type withoutKeys struct{ policy audit.PolicyRuleEvaluator }

// EvaluatePolicyRule implements audit.PolicyRuleEvaluator.
func (w withoutKeys) EvaluatePolicyRule(a authorizer.Attributes) audit.RequestAuditConfig {
	config := w.policy.EvaluatePolicyRule(a)
	if a.IsResourceRequest() && a.GetAPIGroup() == epic.GroupName && a.GetSubresource() == tunnelkeys.Subresource &&
		auditinternal.LevelMetadata.Less(config.Level) {
		config.Level = auditinternal.LevelMetadata
	}
	return config
}
