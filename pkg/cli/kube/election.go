// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Election configures whether and how replicas elect a leader.
type Election struct {
	Enabled bool
	// Namespace is the namespace of the lease; empty for that of the kubeconfig.
	Namespace string
	// LeaseDuration is how long others wait for a leader that does not renew,
	// RenewDeadline is how long a leader tries to renew the lease before it stops
	// leading, and RetryPeriod is the time between two attempts.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// NewElection returns the defaults, which are those of Kubernetes' own controllers.
func NewElection() Election {
	return Election{Enabled: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second}
}

// AddFlags adds the flags. enabled is the help of --leader-elect, and of names what the
// namespace of --leader-elect-namespace contains.
func (e *Election) AddFlags(fs *pflag.FlagSet, enabled, of string) {
	fs.BoolVar(&e.Enabled, "leader-elect", e.Enabled, enabled)
	fs.StringVar(&e.Namespace, "leader-elect-namespace", e.Namespace, "The namespace of "+of+". Default: this pod's, or the kubeconfig's.")
	fs.DurationVar(&e.LeaseDuration, "leader-elect-lease-duration", e.LeaseDuration, "Time after the leader's last renewal until another replica takes over.")
	fs.DurationVar(&e.RenewDeadline, "leader-elect-renew-deadline", e.RenewDeadline, "Time without a successful renewal after which a leader steps down; must be shorter than the lease's duration.")
	fs.DurationVar(&e.RetryPeriod, "leader-elect-retry-period", e.RetryPeriod, "Interval between attempts to acquire or renew the lease; must be shorter than the deadline.")
}

// Validate checks the flags together.
func (e *Election) Validate() error {
	if e.Enabled && (e.RetryPeriod <= 0 || e.RenewDeadline <= e.RetryPeriod*2 || e.LeaseDuration <= e.RenewDeadline) {
		return fmt.Errorf("--leader-elect-retry-period=%s, --leader-elect-renew-deadline=%s and --leader-elect-lease-duration=%s are inconsistent: "+
			"the deadline must be more than twice the period, and the duration must be more than the deadline", e.RetryPeriod, e.RenewDeadline, e.LeaseDuration)
	}
	return nil
}

// In returns the namespace of the lease, given the namespace of the kubeconfig.
func (e *Election) In(namespace string) string { return cmp.Or(e.Namespace, namespace) }
