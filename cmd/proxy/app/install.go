// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

// newInstallCommand returns the command that copies this program to a directory of a pod,
// so a container of any image with Envoy can run it.
func newInstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "install FOLDER",
		Short:   "Copy this program into a directory",
		Long:    "Copy this program, with its name, into a directory that it shares with the Envoy container.\nAn init container runs this command, so the Envoy image does not need to contain the program.",
		Example: "  " + program + " install /epic/bin",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("locate this program: %w", err)
			}
			return install(self, args[0])
		},
	}
}

// install copies a program atomically: a container that starts at the same time sees
// either all of it or nothing.
func install(from, folder string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	const executable = 0o555
	out, err := renameio.NewPendingFile(filepath.Join(folder, program), renameio.WithTempDir(folder), renameio.WithStaticPermissions(executable))
	if err != nil {
		return err
	}
	defer out.Cleanup() //nolint:errcheck // the first error is more informative
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copy to %s: %w", folder, err)
	}
	return out.CloseAtomicallyReplace()
}
