// SPDX-License-Identifier: Apache-2.0

// Package cni is the command "epic-node cni", which installs the CNI plugin on a node. The
// plugin itself is the program epic-cni.
package cni

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/node/cni/install"
	"github.com/acnodal/epic/pkg/node/cni/plugin"
	"github.com/acnodal/epic/pkg/node/cni/wire"
)

// Options holds the flags of the installation. The gateway command has them as well.
type Options struct {
	Program, BinDir, ConfDir string
	Socket                   string
	Ignore                   []string
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		BinDir: install.DefaultBinDir, ConfDir: install.DefaultConfDir,
		Socket: wire.DefaultSocket, Ignore: []string{epic.SystemNamespace, epic.NodeNamespace},
	}
}

// AddFlags adds the options to a command's flags.
func (o *Options) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Program, "cni-program", o.Program, "The plugin's program, which is copied to --cni-bin-dir. Default: "+plugin.Type+" in the folder of this program.")
	f.StringVar(&o.BinDir, "cni-bin-dir", o.BinDir, "Where the container runtime looks for plugins.")
	f.StringVar(&o.ConfDir, "cni-conf-dir", o.ConfDir, "Where the container runtime looks for network configurations.")
	f.StringVar(&o.Socket, "cni-socket", o.Socket, "Unix socket on which the node program answers the plugin, which only root can use.")
	f.StringSliceVar(&o.Ignore, "cni-ignore-namespaces", o.Ignore, "Namespaces with the prefix "+plugin.DefaultPrefix+" that have no proxies, such as that of EPIC's own programs.")
}

// Installer returns the installer.
func (o *Options) Installer() (*install.Installer, error) {
	program := o.Program
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("locate this program: %w", err)
		}
		program = filepath.Join(filepath.Dir(self), plugin.Type)
	}
	return &install.Installer{
		Program: program, BinDir: o.BinDir, ConfDir: o.ConfDir,
		Config: plugin.Config{Socket: o.Socket, IgnoreNamespaces: o.Ignore},
	}, nil
}

// New returns the command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cni",
		Short:   "Install or remove the CNI plugin that gives proxies their public addresses",
		Example: "  epic-node cni install --once",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInstall(), newUninstall())
	return cmd
}

func newInstall() *cobra.Command {
	o := NewOptions()
	once := false
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "Install the plugin, and restore it when it is removed",
		Example: "  epic-node cni install --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := o.Installer()
			if err != nil {
				return err
			}
			if once {
				_, err := i.Install()
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return i.Run(ctx)
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&once, "once", once, "Install the plugin, and exit.")
	return cmd
}

func newUninstall() *cobra.Command {
	o := NewOptions()
	stay := false
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Remove the plugin and its entry in the network configuration",
		Example: "  epic-node cni uninstall",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := o.Installer()
			if err != nil {
				return err
			}
			if err := i.Uninstall(); err != nil {
				return err
			}
			if !stay {
				return nil
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			<-ctx.Done()
			return nil
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&stay, "stay", stay, "Wait for a signal afterwards, as a DaemonSet's pod must.")
	return cmd
}
