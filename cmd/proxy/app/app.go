// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of epic-proxy.
package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/acnodal/epic/pkg/cli"
	"github.com/acnodal/epic/pkg/proxyagent"
)

const program = "epic-proxy"

const long = `The first process of a proxy's pod. It exchanges the pod's token for a certificate,
relays Envoy's configuration from the operator, and keeps Envoy running. It stores the
configuration that Envoy accepted in --dir, so a restarted Envoy gets it immediately,
with or without the operator. On SIGTERM, the pod becomes unready, and Envoy serves open
connections until they end or --drain-timeout expires.`

const example = `  # In a pod
  epic-proxy --operator=epic-operator.epic-system.svc:7446 --server-name=epic-operator.epic-system.svc \
    --ca-file=/etc/epic/ca.crt --token-file=/var/run/secrets/epic/token \
    --namespace=epic-acnodal --kind=GWProxy --name=web --pod=web-7d9f-x2 \
    --dir=/run/epic --bind-address=:7447

  # The configuration that was sent, and the one that was accepted
  curl --unix-socket /run/epic/agent.sock http://epic/config`

// Main runs the program and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main(newCommand(), args, stdout, stderr)
}

func newCommand() *cobra.Command {
	o := proxyagent.DefaultOptions()
	o.Envoy = "envoy"
	logs := cli.NewLogs()
	cmd := &cobra.Command{
		Use:     program,
		Short:   "Run the Envoy of a proxy's pod",
		Long:    long,
		Example: example,
		Args:    cli.NoArguments,
		RunE: logs.Before(func(ctx context.Context) error {
			path, err := exec.LookPath(o.Envoy)
			if err != nil {
				return fmt.Errorf("--envoy: %w", err)
			}
			o.Envoy = path
			forward := make(chan os.Signal, 1)
			signal.Notify(forward, syscall.SIGUSR1, syscall.SIGHUP)
			return proxyagent.Run(ctx, context.WithoutCancel(ctx), o, forward)
		}),
	}
	groups := flags(&o)
	logs.AddFlags(groups.FlagSet("logs"))
	cmd.AddCommand(newConfigCommand(), newInstallCommand(), cli.NewVersionCommand(program))
	cli.Prepare(cmd, cli.FlagGroups{cmd: groups})
	return cmd
}

func flags(o *proxyagent.Options) cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	id := groups.FlagSet("identity")
	id.StringVar(&o.Identity.Namespace, "namespace", "", "Namespace of the load balancer or gateway proxy, and of this pod.")
	id.StringVar(&o.Identity.Kind, "kind", "", "Kind of the object that this pod is a proxy of: LoadBalancer or GWProxy.")
	id.StringVar(&o.Identity.Name, "name", "", "Name of that object.")
	id.StringVar(&o.Identity.Pod, "pod", "", "Name of this pod.")
	id.StringVar(&o.TokenFile, "token-file", "", "File with the token for audience epic-xds, or with the one-time secret, that proves the pod's identity. It is read for each certificate.")

	operator := groups.FlagSet("operator")
	operator.StringVar(&o.Operator, "operator", "", "The operator's address: HOST:PORT or unix:///PATH. If the host has several addresses, any of them is used.")
	operator.StringVar(&o.ServerName, "server-name", "", "Name in the operator's certificate.")
	operator.StringVar(&o.CAFile, "ca-file", "", "File with the trusted CA certificates, in PEM.")

	envoy := groups.FlagSet("Envoy")
	envoy.StringVar(&o.Envoy, "envoy", o.Envoy, "Envoy's program.")
	envoy.IntVar(&o.Concurrency, "concurrency", 0, "Envoy's worker threads; 0 for one per CPU.")
	envoy.StringVar(&o.EnvoyLogLevel, "envoy-log-level", o.EnvoyLogLevel, "Envoy's log level: trace, debug, info, warning, error, critical or off.")
	envoy.StringVar(&o.Dir, "dir", "", "Directory for sockets, keys and accepted resources. If it is in memory, it does not survive a reboot.")
	envoy.StringVar(&o.KeepDir, "keep-dir", "", "Directory for accepted resources that survives reboots, so Envoy serves them even if the operator is down. Default: --dir.")
	envoy.BoolVar(&o.KeepKeys, "keep-keys", false, "Also store the private keys of certificates in --keep-dir. Otherwise, TLS listeners wait for the operator after a reboot.")
	envoy.DurationVar(&o.DrainDelay, "drain-delay", o.DrainDelay, "How long Envoy serves as usual after SIGTERM, until routes to it are withdrawn.")
	envoy.DurationVar(&o.DrainTimeout, "drain-timeout", o.DrainTimeout, "How long connections may continue after that.")

	servers := groups.FlagSet("servers")
	servers.StringVar(&o.BindAddress, "bind-address", "", "Address on which to serve /livez, /readyz and /metrics: ADDRESS:PORT or unix:PATH. Empty to disable.")
	servers.StringVar(&o.ConfigAddress, "config-address", "", "Address on which only the operator, authenticated by its certificate, can read the configuration. Empty to disable.")
	return groups
}
