// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/buildinfo"
)

func newVersion(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Example:           "  epicctl version",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(t.Out, "%s %s\nAPI %s\n%s %s/%s\n", program, buildinfo.Release(), v1.SchemeGroupVersion,
				runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
