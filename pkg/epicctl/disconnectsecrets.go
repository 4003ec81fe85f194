// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	epicclient "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
	"github.com/acnodal/epic/pkg/secretrefs"
)

// takeoverPatience is how long a command waits for the next owner of a shared gateway
// proxy to replace the certificates of a cluster that leaves.
type takeoverPatience struct {
	// poll is the time between two checks, and wait the maximum time.
	poll, wait time.Duration
	// settle is the time for the operator to learn of the change before the certificates
	// are deleted.
	// go: it learns of proxies and of Secrets in any order.
	settle time.Duration
}

var defaultTakeoverPatience = takeoverPatience{poll: 200 * time.Millisecond, wait: 30 * time.Second, settle: 3 * time.Second}

// deleteSecrets deletes the cluster's Secrets for proxies, except those to which a
// gateway proxy refers: a shared proxy needs them until its next owner has written its
// own.
func (o *disconnect) deleteSecrets(ctx context.Context, kube kubernetes.Interface, c epicclient.EpicV1Interface, ns string) error {
	if o.dryRun == dryRunClient {
		return nil
	}
	used := map[string]string{}
	if o.dryRun == dryRunNone {
		var err error
		if used, err = o.awaitTakeover(ctx, c, ns); err != nil {
			return err
		}
	}
	names := slices.Sorted(maps.Keys(used))
	// Nobody is permitted to read them.
	err := kube.CoreV1().Secrets(ns).DeleteCollection(ctx, metav1.DeleteOptions{DryRun: o.dryRun.options()}, metav1.ListOptions{
		LabelSelector: o.own() + "," + publish.UseLabel + "=" + publish.UseProxy,
		FieldSelector: secretrefs.Except(names).String(),
	})
	if err != nil {
		return right{"deletecollection", "secrets", ns}.explain(err)
	}
	if len(names) > 0 {
		proxies := map[string]bool{}
		for _, proxy := range used {
			proxies[epic.ResourceGWProxies+"/"+proxy] = true
		}
		return fmt.Errorf("the certificates of cluster %s that %s has are left: the connector of a cluster that shares it replaces them, and has not done so within %s. Is it running?",
			o.cluster, strings.Join(slices.Sorted(maps.Keys(proxies)), ", "), o.takeoverPatience.wait)
	}
	return nil
}

// awaitTakeover waits until no gateway proxy refers to a Secret of the cluster. After the
// maximum time, it returns those that are still referred to, each with a proxy.
func (o *disconnect) awaitTakeover(ctx context.Context, c epicclient.EpicV1Interface, ns string) (used map[string]string, err error) {
	end := time.Now().Add(o.takeoverPatience.wait)
	err = wait.PollUntilContextCancel(ctx, o.takeoverPatience.poll, true, func(ctx context.Context) (done bool, err error) {
		used, err = o.secretsInUse(ctx, c, ns)
		return len(used) == 0 || !time.Now().Before(end), err
	})
	if err != nil || len(used) > 0 {
		return used, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(o.takeoverPatience.settle):
		return nil, nil
	}
}

// secretsInUse returns the cluster's Secrets to which gateway proxies refer, each with a
// proxy.
func (o *disconnect) secretsInUse(ctx context.Context, c epicclient.EpicV1Interface, ns string) (map[string]string, error) {
	used := map[string]string{}
	err := each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, ns, c.GWProxies(ns).List), func(proxy *v1.GWProxy) error {
		for _, name := range secretrefs.Of(proxy) {
			if proxy.DeletionTimestamp == nil && publish.IsSecretOf(name, o.cluster) {
				used[name] = proxy.Name
			}
		}
		return nil
	})
	return used, err
}
