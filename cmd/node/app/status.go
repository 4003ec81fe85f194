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
		Short:   "Show interfaces, tunnels and dropped packets",
		Example: "  epic-node status -o json",
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fmt.Errorf("--output is %q: set table or json", output)
			}
			client, err := ask(socket)
			if err != nil {
				return err
			}
			r, err := client.Report(c.Context())
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
	socketFlags(cmd, &socket)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json.")
	return cmd
}

func newTraceCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:     "trace TUNNEL",
		Short:   "Show the packets of one tunnel and what happened to them, until Ctrl-C",
		Example: "  epic-node trace 7",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("specify the ID of one tunnel; %q lists them", program+" status")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			client, err := ask(socket)
			if err != nil {
				return err
			}
			return client.Trace(c.Context(), args[0], c.OutOrStdout())
		},
	}
	socketFlags(cmd, &socket)
	return cmd
}

// socketFlags adds the flag that specifies a program's socket, under the name that the
// program itself uses, and under its earlier name.
func socketFlags(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVar(socket, "status-socket", "", "Unix socket of the program. Default: "+status.DefaultSocket+", or that of the only running node program.")
	cmd.Flags().StringVar(socket, "socket", "", "The same.")
	_ = cmd.Flags().MarkHidden("socket") // it exists
}

// ask returns a client for the program at a socket, or for the one that runs here.
func ask(socket string) (*status.Client, error) {
	if socket == "" {
		found, err := status.FindSocket()
		if err != nil {
			return nil, err
		}
		socket = found
	}
	return status.NewClient(socket), nil
}
