// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// completionTimeout is how long a shell may hang on the Tab key.
const completionTimeout = 3 * time.Second

// completeAccounts completes the names of accounts: the first argument only, or
// as many as the user likes.
func completeAccounts(t *tool, many bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if !many && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := c.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		client, err := t.epic()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		accounts, err := client.EpicV1().Accounts(t.namespace()).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []cobra.Completion
		for i := range accounts.Items {
			if name := accounts.Items[i].Name; !slices.Contains(args, name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completePrefixes completes the names of ServicePrefixes.
func completePrefixes(t *tool) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		client, err := t.epic()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		list, err := client.EpicV1().ServicePrefixes(epic.ConfigNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []cobra.Completion
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlags completes the values of the flags that all commands have.
func completeFlags(t *tool, root *cobra.Command) {
	fromKubeconfig := func(names func() []string) cobra.CompletionFunc {
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return names(), cobra.ShellCompDirectiveNoFileComp
		}
	}
	config := t.flags.ToRawKubeConfigLoader
	must(root.RegisterFlagCompletionFunc("context", fromKubeconfig(func() []string {
		raw, err := config().RawConfig()
		if err != nil {
			return nil
		}
		return slices.Sorted(maps.Keys(raw.Contexts))
	})))
	must(root.RegisterFlagCompletionFunc("cluster", fromKubeconfig(func() []string {
		raw, err := config().RawConfig()
		if err != nil {
			return nil
		}
		return slices.Sorted(maps.Keys(raw.Clusters))
	})))
	must(root.RegisterFlagCompletionFunc("user", fromKubeconfig(func() []string {
		raw, err := config().RawConfig()
		if err != nil {
			return nil
		}
		return slices.Sorted(maps.Keys(raw.AuthInfos))
	})))
	must(root.RegisterFlagCompletionFunc("namespace", func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		// The flag's own half-typed value is no namespace to look in.
		*t.flags.Namespace = ""
		names, directive := completeAccounts(t, true)(c, nil, "")
		for i := range names {
			names[i] = accountNamespace(names[i])
		}
		return names, directive
	}))
}
