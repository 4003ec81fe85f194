// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/skew"
)

// versionTimeout is the time that an installation has to respond.
const versionTimeout = 10 * time.Second

type showVersion struct {
	*tool
	clientOnly bool
}

func newVersion(t *tool) *cobra.Command {
	o := &showVersion{tool: t}
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of epicctl and of the installation's components",
		Long: "Print the version of epicctl and of those components of the installation that you may\n" +
			"read: the API server, the leading controller and operator, the gateway nodes, and the\n" +
			"connectors of client clusters. Components whose version does not work with the API\n" +
			"server's are marked, and the exit code is then 1.",
		Example:           "  epicctl version\n  epicctl version --client",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	c.Flags().BoolVar(&o.clientOnly, "client", false, "Print only the version of epicctl, without contacting the server.")
	return c
}

func (o *showVersion) run(ctx context.Context) error {
	_, err := fmt.Fprintf(o.Out, "%s %s\nAPI %s\n%s %s/%s\n", program, buildinfo.Release(), v1.SchemeGroupVersion,
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil || o.clientOnly {
		return err
	}
	if _, err := o.config(); err != nil {
		return nil // there is no installation to query
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	versions := &partVersions{tool: o.tool}
	servers, err := versions.servers(ctx)
	if err != nil {
		o.note("The versions of the installation are unknown: %v", explain(err))
		return nil
	}
	versions.others(ctx)
	return o.print(servers, versions)
}

// print prints the parts, and returns an error if one of them is not supported.
func (o *showVersion) print(servers []string, versions *partVersions) error {
	server := skew.Newest(servers)
	parts := slices.Concat([]partVersion{{skew.Tool, "", buildinfo.Release()}}, versions.parts)
	for _, s := range servers {
		parts = append(parts, partVersion{skew.APIServer, "", s})
	}
	slices.SortStableFunc(parts, comparePartVersions)
	w := tabwriter.NewWriter(o.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\nPART\tNAME\tVERSION\tSUPPORTED\n")
	bad := 0
	for _, p := range parts {
		supported := "yes"
		problem := skew.Check(p.part, p.version, server)
		switch {
		case problem != "":
			bad++
			supported = "no: " + problem
		case !skew.IsRelease(p.version) || !skew.IsRelease(server):
			supported = "unknown: not a release"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.part, text(p.name), text(p.version), supported)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, missing := range versions.unread {
		o.note("%s", missing)
	}
	if bad > 0 {
		return fmt.Errorf("%s not supported: docs/releases.md has the versions that work together", counted(bad, "part is", "parts are"))
	}
	return nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func text(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
