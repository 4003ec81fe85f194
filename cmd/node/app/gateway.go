// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
)

func newGatewayCommand() *cobra.Command {
	o := &options{}
	plugin := newCNIOptions()
	announcing := &announceOptions{}
	var described string
	var share int
	cmd := &cobra.Command{
		Use:     gatewayRole,
		Short:   "Run on a gateway node: forward proxies' packets to tenants' pods",
		Example: "  epic-node gateway --kubeconfig=node.kubeconfig --node-address=192.0.2.40 --proxies-file=proxies.yaml",
		Args:    cli.NoArguments,
	}
	logFlags(cmd, func(ctx context.Context) error {
		config, err := o.config()
		if err != nil {
			return err
		}
		if share < 1 || share > 100 {
			return fmt.Errorf("--account-share is %d: set a percentage from 1 to 100", share)
		}
		rc, err := o.reach(&config)
		if err != nil {
			return err
		}
		if len(config.Nodes) > 1 {
			return fmt.Errorf("--node-address is set %d times: a gateway node has one address", len(config.Nodes))
		}
		var sources merged
		if described != "" {
			static, err := proxies.OpenStatic(described, netns.None())
			if err != nil {
				return fmt.Errorf("--proxies-file: %w", err)
			}
			defer static.Close()
			sources = append(sources, static)
		}
		var attached *attachments
		if plugin.enabled {
			if attached, err = plugin.open(ctx, rc, config.Client, config.Name, config.Nodes); err != nil {
				return err
			}
			defer attached.Close()
			sources = append(sources, attached)
		}
		network, err := host.New(host.Options{Namespace: netns.None()})
		if err != nil {
			return err
		}
		defer network.Close()
		announcer, err := announcing.announcer(config, network, attached)
		if err != nil {
			return err
		}
		return locked(ctx, o, dataplane.RoleGateway, func(plane *dataplane.DataPlane) error {
			config.Plane = plane
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error {
				return node.RunGateway(ctx, node.GatewayConfig{Config: config, Proxies: sources, Host: network, Announcer: announcer, Shares: apply.Shares(plane.Options(), share)})
			})
			if attached != nil {
				group.Go(func() error { return attached.run(ctx) })
			}
			return group.Wait()
		})
	})
	o.add(cmd.Flags(), gatewayRole)
	plugin.add(cmd.Flags())
	announcing.add(cmd.Flags())
	cmd.Flags().IntVar(&share, "account-share", 25, "Maximum percentage of the node's tunnels, endpoints and published ports for one account. Others are reported as problems and not programmed.")
	cmd.Flags().StringVar(&described, "proxies-file", "", "File that describes the proxies of a host without Kubernetes. It is read again when it changes.")
	return cmd
}

// merged combines the proxies of several sources.
type merged []proxies.Source

// List implements proxies.Source.
func (m merged) List() []proxies.Interface {
	var out []proxies.Interface
	for _, s := range m {
		out = append(out, s.List()...)
	}
	return out
}

// Run implements proxies.Source.
func (m merged) Run(ctx context.Context, changed func()) error {
	if len(m) == 0 {
		changed()
		<-ctx.Done()
		return nil
	}
	var mu sync.Mutex
	missing := make([]bool, len(m))
	for i := range missing {
		missing[i] = true
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range m {
		group.Go(func() error {
			return s.Run(ctx, func() {
				mu.Lock()
				defer mu.Unlock()
				missing[i] = false
				if !slices.Contains(missing, true) {
					changed()
				}
			})
		})
	}
	return group.Wait()
}
