// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/cli"
)

// newConfigCommand returns the command that prints what the pod was sent and what its
// Envoy accepted.
func newConfigCommand() *cobra.Command {
	dir, bodies := "/run/epic", false
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Print the configuration that this pod received and that its Envoy accepted",
		Long:    "Print, in JSON, the configuration that this pod received and that its Envoy accepted,\nas reported by the running epic-proxy.",
		Example: "  " + program + " config --dir=/run/epic",
		Args:    cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return printConfig(c.Context(), c.OutOrStdout(), filepath.Join(dir, "agent.sock"), bodies)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", dir, "The directory of the running epic-proxy.")
	cmd.Flags().BoolVar(&bodies, "bodies", false, "Also print the resources, except secrets.")
	return cmd
}

func printConfig(ctx context.Context, out io.Writer, socket string, bodies bool) error {
	const timeout = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	url := "http://" + program + "/config"
	if bodies {
		url += "?bodies"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("check that %s is running with this --dir: %w", program, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", program, answer.Status)
	}
	_, err = io.Copy(out, answer.Body)
	return err
}
