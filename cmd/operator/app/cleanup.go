// SPDX-License-Identifier: Apache-2.0

package app

import (
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// newCleanupCommand returns the command that ends what --runner=processes started.
func newCleanupCommand() *cobra.Command {
	o := newOptions()
	grace := 10 * time.Second
	cmd := &cobra.Command{
		Use:     "cleanup",
		Short:   "Stop all proxies that an operator started as processes on this host",
		Long:    "Stop all proxies that an operator started as processes on this host, and remove their\nnetwork namespaces. The operator must not be running.",
		Example: "  epic-operator cleanup --process-dir=/var/lib/epic-operator",
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.dir, err = filepath.Abs(o.dir); err != nil {
				return err
			}
			unlock, err := lock(o.dir)
			if err != nil {
				return err
			}
			defer unlock()
			run, err := processes.New(c.Context(), processes.Options{
				Dir: o.dir, Network: &processes.Namespaces{}, Identities: nobody{}, Grace: grace,
				Changed: func(proxyidentity.Proxy) {},
			})
			if err != nil {
				return err
			}
			return run.EndAll(c.Context())
		},
	}
	cmd.Flags().StringVar(&o.dir, "process-dir", o.dir, "The operator's folder.")
	cmd.Flags().DurationVar(&grace, "grace", grace, "How long proxies wait for connections to finish.")
	return cmd
}

// nobody is an Identities without proxies.
type nobody struct{}

// Issue implements processes.Identities.
func (nobody) Issue(proxyidentity.Identity) string { return "" }

// Allow implements processes.Identities.
func (nobody) Allow(proxyidentity.Identity) {}

// Revoke implements processes.Identities.
func (nobody) Revoke(proxyidentity.Identity) {}
