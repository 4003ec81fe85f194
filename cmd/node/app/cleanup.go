// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/ownport"
	"github.com/acnodal/epic/pkg/node/statefile"
)

func newCleanupCommand() *cobra.Command {
	o := &options{}
	var role string
	cmd := &cobra.Command{
		Use:     "cleanup",
		Short:   "Remove everything that the program created on this node: programs, maps, routes, state",
		Example: "  epic-node cleanup --role=client",
		Args:    cli.NoArguments,
		RunE: func(*cobra.Command, []string) (err error) {
			if role != gatewayRole && role != clientRole {
				return fmt.Errorf("--role is %q: set gateway or client", role)
			}
			lock, err := statefile.Acquire(o.stateDir)
			if err != nil {
				return fmt.Errorf("--state-dir: %w", err)
			}
			defer func() { err = errors.Join(err, lock.Release()) }()
			return cleanup(o, role)
		},
	}
	o.add(cmd.Flags(), clientRole)
	cmd.Flags().StringVar(&role, "role", "", "The role that the program had: gateway or client.")
	return cmd
}

func cleanup(o *options, role string) error {
	planeRole := dataplane.RoleClient
	var errs []error
	if role == gatewayRole {
		planeRole = dataplane.RoleGateway
		network, err := host.New(host.Options{Namespace: netns.None()})
		if err != nil {
			return err
		}
		errs = append(errs, network.Remove())
		network.Close()
	}
	if role == clientRole {
		errs = append(errs, ownport.Remove())
	}
	plane, err := dataplane.Open(o.plane(planeRole))
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, plane.Remove())
	for _, name := range []string{"state", "sequence", "bfd"} {
		if err := os.Remove(filepath.Join(o.stateDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
