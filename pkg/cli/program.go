// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	baseversion "k8s.io/component-base/version"
)

// Program is a long-running program built with Kubernetes' libraries.
type Program struct {
	Name, Short, Long, Example string
	Flags                      cliflag.NamedFlagSets
	// Logs holds the logging flags, which are included in Flags.
	Logs *Logs
	// Validate checks the flags together.
	Validate func() error
	Run      func(context.Context) error
}

// Command returns the program's root command, with the command version and the given
// ones.
func (p *Program) Command(commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     p.Name,
		Short:   p.Short,
		Long:    p.Long,
		Example: p.Example,
		Args:    NoArguments,
		RunE: p.Logs.Before(func(ctx context.Context) error {
			if err := p.Validate(); err != nil {
				return err
			}
			return p.Run(ctx)
		}),
	}
	cmd.AddCommand(append(commands, NewVersionCommand(p.Name, "kubernetes "+baseversion.DefaultKubeBinaryVersion))...)
	Prepare(cmd, FlagGroups{cmd: p.Flags})
	return cmd
}
