// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spf13/cobra"
)

// dryRun is the value of --dry-run.
type dryRun string

const (
	dryRunNone   dryRun = "none"
	dryRunClient dryRun = "client"
	dryRunServer dryRun = "server"
)

func (d *dryRun) addFlag(c *cobra.Command) {
	*d = dryRunNone
	c.Flags().Var(d, "dry-run", `Must be "none", "server", or "client". With "client", only print the objects, without contacting the server. With "server", let the server check them without storing them.`)
	// Like in kubectl, the flag without a value selects the safest mode.
	c.Flags().Lookup("dry-run").NoOptDefVal = string(dryRunClient)
	must(c.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{"none", "server", "client"}, cobra.ShellCompDirectiveNoFileComp)))
}

// String implements pflag.Value.
func (d *dryRun) String() string { return string(*d) }

// Type implements pflag.Value.
func (*dryRun) Type() string { return "string" }

// Set implements pflag.Value.
func (d *dryRun) Set(s string) error {
	switch dryRun(s) {
	case dryRunNone, dryRunClient, dryRunServer:
		*d = dryRun(s)
		return nil
	}
	return usagef(`use "none", "server", or "client"`)
}

// options returns the option of a request.
func (d *dryRun) options() []string {
	if *d == dryRunServer {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// suffix returns the suffix of a message about an action.
func (d *dryRun) suffix() string {
	switch *d {
	case dryRunClient:
		return " (dry run)"
	case dryRunServer:
		return " (server dry run)"
	}
	return ""
}

// must panics on errors that only a bug in this package can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
