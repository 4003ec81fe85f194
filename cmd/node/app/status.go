// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/node/status"
)

func newStatusCommand() *cobra.Command {
	var socket, output string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show interfaces, tunnels and what was dropped",
		Example: "  epic-node status -o json",
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output is %q: give table or json", output)
			}
			r, err := status.NewClient(socket).Report(c.Context())
			if err != nil {
				return err
			}
			if output == "json" {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			return status.Print(c.OutOrStdout(), &r)
		},
	}
	cmd.Flags().StringVar(&socket, "socket", status.DefaultSocket, "Unix socket of the program.")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json.")
	return cmd
}

func newTraceCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:     "trace TUNNEL",
		Short:   "Show the packets of one tunnel, and what became of them, until Ctrl-C",
		Example: "  epic-node trace 7",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give the ID of one tunnel; %q lists them", program+" status")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return status.NewClient(socket).Trace(c.Context(), args[0], c.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&socket, "socket", status.DefaultSocket, "Unix socket of the program.")
	return cmd
}
