// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/ownport"
	"github.com/acnodal/epic/pkg/node/statefile"
)

func newClientCommand() *cobra.Command {
	o := &options{}
	var namespace, cluster string
	from := &connectorOptions{}
	var ping time.Duration
	cmd := &cobra.Command{
		Use:     clientRole,
		Short:   "Run on a client node: open tunnels and forward requests to pods",
		Example: "  epic-node client --kubeconfig=node.kubeconfig --namespace=epic-acme --node-address=192.168.1.16",
		Args:    cli.NoArguments,
	}
	logFlags(cmd, func(ctx context.Context) error {
		if !strings.HasPrefix(namespace, "epic-") {
			return fmt.Errorf("--namespace is %q: set the account's namespace, epic-NAME", namespace)
		}
		if ping < minPing || ping > maxPing {
			return fmt.Errorf("--ping-interval is %s: set a duration from %s to %s", ping, minPing, maxPing)
		}
		if err := from.validate(o.kubeconfig); err != nil {
			return err
		}
		config, err := o.config()
		if err != nil {
			return err
		}
		if from.url != "" {
			err = o.exchanging(ctx, &config, from)
		} else {
			_, err = o.reach(&config)
		}
		if err != nil {
			return err
		}
		return locked(ctx, o, dataplane.RoleClient, func(plane *dataplane.DataPlane) error {
			config.Plane = plane
			return node.RunClient(ctx, node.ClientConfig{Config: config, Namespace: namespace, Cluster: cluster, PingInterval: ping, Ports: ownport.New(o.port), Forwarding: host.ForwardingProblems})
		})
	})
	o.add(cmd.Flags(), clientRole)
	cmd.Flags().StringVar(&namespace, "namespace", "", "The account's namespace, such as epic-NAME.")
	cmd.Flags().StringVar(&cluster, "cluster", "", "The client cluster of this node, as in its endpoints. The node then ignores objects through which only other clusters publish. Default: the node uses all of the account's objects.")
	from.add(cmd.Flags())
	cmd.Flags().DurationVar(&ping, "ping-interval", gue.DefaultInterval, "Time between the packets that keep a tunnel open.")
	return cmd
}

// locked runs a role with the node's lock and its data plane, after checking the
// machine's requirements.
func locked(ctx context.Context, o *options, role dataplane.Role, run func(*dataplane.DataPlane) error) (err error) {
	lock, err := statefile.Acquire(o.stateDir)
	if err != nil {
		return fmt.Errorf("--state-dir: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := probe(ctx, o.plane(role)); err != nil {
		return err
	}
	plane, err := dataplane.Open(o.plane(role))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Close()) }()
	return run(plane)
}
