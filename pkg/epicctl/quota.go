// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// quotaName is the name of an account's ResourceQuota.
const quotaName = "epic-account"

// countPrefix is the prefix of quota resources that limit a number of objects.
const countPrefix = "count/"

// defaultQuota is the default number of objects of each resource that an account may
// have. It does not include load balancers and gateway proxies: the Account's proxyLimit
// limits their total.
var defaultQuota = map[string]int64{
	epic.ResourceLBServiceGroups:  100,
	epic.ResourceRemoteEndpoints:  5000,
	epic.ResourceGWRoutes:         1000,
	epic.ResourceGWEndpointSlices: 2000,
}

// quotaResources lists the resources that a quota may count.
var quotaResources = []string{epic.ResourceGWEndpointSlices, epic.ResourceGWProxies, epic.ResourceGWRoutes, epic.ResourceLBServiceGroups, epic.ResourceLoadBalancers, epic.ResourceRemoteEndpoints}

// quotaFlags holds the limits on the number of objects of an account.
type quotaFlags struct {
	counts []string
	none   bool
}

func (f *quotaFlags) addFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.counts, "quota", nil, "Maximum number of objects of a kind, as RESOURCE=COUNT, such as gwroutes=200. May be given several times. "+
		"Default: "+describeQuota(defaultQuota)+" for a new quota, and no change of an existing one.")
	c.Flags().BoolVar(&f.none, "no-quota", false, "Create no ResourceQuota. An existing one stays.")
	must(c.RegisterFlagCompletionFunc("quota", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, r := range quotaResources {
			out = append(out, r+"=")
		}
		return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}))
}

func describeQuota(counts map[string]int64) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s=%d", r, counts[r]))
	}
	return strings.Join(parts, ", ")
}

// parse returns the counts set on the command line.
func (f *quotaFlags) parse() (map[string]int64, error) {
	if f.none && len(f.counts) > 0 {
		return nil, usagef("--quota and --no-quota can't be combined: remove one of them")
	}
	given := map[string]int64{}
	for _, s := range f.counts {
		name, text, ok := strings.Cut(s, "=")
		if !ok || !slices.Contains(quotaResources, name) {
			return nil, usagef("--quota %q: write it as RESOURCE=COUNT with one of the resources %s", shortened(s), strings.Join(quotaResources, ", "))
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return nil, usagef("--quota %q: the count must be 0, which allows none, or more", shortened(s))
		}
		given[name] = n
	}
	return given, nil
}

// newQuota returns the quota of an account: the defaults, overridden by the given counts.
func newQuota(namespace string, given map[string]int64) *corev1.ResourceQuota {
	hard := corev1.ResourceList{}
	for _, counts := range []map[string]int64{defaultQuota, given} {
		maps.Copy(hard, quotaList(counts))
	}
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: quotaName, Labels: copied(bindingLabels)},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
}

func quotaList(counts map[string]int64) corev1.ResourceList {
	hard := corev1.ResourceList{}
	for name, n := range counts {
		hard[corev1.ResourceName(countPrefix+name+"."+v1.GroupName)] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	return hard
}

// ensureQuota creates the quota, and waits until it is enforced. It only changes the
// given counts in an existing one.
func (o *createAccount) ensureQuota(ctx context.Context, want *corev1.ResourceQuota, given map[string]int64) (outcome, runtime.Object, error) {
	explain := func(verb string, err error) error { return right{verb, "resourcequotas", want.Namespace}.explain(err) }
	result, is, err := ensure(ctx, o, o.kubeClient.CoreV1().ResourceQuotas(want.Namespace), want, explain, func(is *corev1.ResourceQuota) (map[string]any, error) {
		change := map[string]any{}
		for name, n := range quotaList(given) {
			if has, ok := is.Spec.Hard[name]; !ok || has.Cmp(n) != 0 {
				change[string(name)] = n.String()
			}
		}
		if len(change) == 0 {
			return nil, nil
		}
		return map[string]any{"spec": map[string]any{"hard": change}}, nil
	})
	if err == nil && result == created && o.dryRun == dryRunNone {
		err = o.awaitCount(ctx, want)
	}
	return result, is, err
}
