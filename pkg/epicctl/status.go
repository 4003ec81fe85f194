// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/acnodal/epic/pkg/overview"
)

func newStatus(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:   "status [flags]",
		Short: "Report the state and the problems of the installation",
		Long: "Report the state and the problems of the installation: the API and its servers, etcd,\n" +
			"the configuration, the addresses, the controller, the Envoys, the nodes, and the claims.\n\n" +
			"WARN marks what needs attention and what you have no permission to read. The exit code\n" +
			"is 1 if a check fails.",
		Example:           "  epicctl status",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := newSurvey(t)
			if err != nil {
				return err
			}
			return t.reportStatus(s.all(c.Context()).Checks())
		},
	}
}

// reportStatus prints the table, followed by what did not fit and the fixes.
func (t *tool) reportStatus(checks []overview.Check) error {
	var rows [][]any
	var long []overview.Check
	failed := false
	for _, c := range checks {
		short := summary(c.Detail)
		if strings.HasSuffix(short, " …") {
			long = append(long, c)
		}
		failed = failed || c.Verdict == overview.Fail
		rows = append(rows, []any{c.Name, string(c.Verdict), short})
	}
	if err := printTable(t.Out, false, false, []column{{name: "Check"}, {name: "Result"}, {name: "Detail"}}, rows); err != nil {
		return err
	}
	if len(long) > 0 {
		fmt.Fprintln(t.Out, "\nIn full:")
		for _, c := range long {
			fmt.Fprintf(t.Out, "  %s:\n", c.Name)
			for _, text := range wrapped(c.Detail, widest) {
				fmt.Fprintf(t.Out, "    %s\n", text)
			}
		}
	}
	first := true
	for _, c := range checks {
		if c.Fix == "" {
			continue
		}
		if first {
			fmt.Fprintln(t.Out, "\nWhat to do:")
			first = false
		}
		fmt.Fprintf(t.Out, "  %s: %s\n", c.Name, strings.TrimSpace(line(c.Fix)))
	}
	if failed {
		return &unhealthyError{}
	}
	return nil
}
