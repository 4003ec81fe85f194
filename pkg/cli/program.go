// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	baseversion "k8s.io/component-base/version"
)

// Program is a program that runs until it is stopped, built with Kubernetes' libraries.
type Program struct {
	Name, Short, Long, Example string
	Flags                      cliflag.NamedFlagSets
	// Logs has the flags on logs, which are among Flags.
	Logs *Logs
	// Validate checks the flags together.
	Validate func() error
	Run      func(context.Context) error
}

// Command returns the program's root command. It has the command version, and those given.
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
