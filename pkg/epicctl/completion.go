// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// completionTimeout limits how long a completion blocks the shell.
const completionTimeout = 3 * time.Second

// completeNames completes the names of the objects that list returns.
func completeNames(c *cobra.Command, list func(ctx context.Context) (runtime.Object, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	var names []cobra.Completion
	objects, err := list(ctx)
	if err == nil {
		err = meta.EachListItem(objects, func(obj runtime.Object) error {
			m, err := meta.Accessor(obj)
			if err == nil {
				names = append(names, m.GetName())
			}
			return err
		})
	}
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeAccounts completes the names of accounts: for the first argument only, or for
// all if many is set.
func completeAccounts(t *tool, many bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if !many && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, directive := completeNames(c, func(ctx context.Context) (runtime.Object, error) {
			client, err := t.epic()
			if err != nil {
				return nil, err
			}
			return client.EpicV1().Accounts(t.namespace()).List(ctx, metav1.ListOptions{})
		})
		names = slices.DeleteFunc(names, func(name cobra.Completion) bool { return slices.Contains(args, name) })
		slices.Sort(names)
		return names, directive
	}
}

// completePrefixes completes the names of ServicePrefixes.
func completePrefixes(t *tool) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completeNames(c, func(ctx context.Context) (runtime.Object, error) {
			client, err := t.epic()
			if err != nil {
				return nil, err
			}
			return client.EpicV1().ServicePrefixes(epic.ConfigNamespace).List(ctx, metav1.ListOptions{})
		})
	}
}

// completeFlags completes the values of the flags that all commands share.
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
		// Do not use the incomplete value of the flag itself as a namespace.
		*t.flags.Namespace = ""
		names, directive := completeAccounts(t, true)(c, nil, "")
		for i := range names {
			names[i] = accountNamespace(names[i])
		}
		return names, directive
	}))
}
