// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/connector"
	"github.com/acnodal/epic/pkg/connector/nodes"
	"github.com/acnodal/epic/pkg/connector/renewal"
	"github.com/acnodal/epic/pkg/credential"
)

// syncTimeout is how long the connector waits for either cluster before it ends and is
// started again. An outage of EPIC's may take long, and ends with nothing lost.
const syncTimeout = 24 * time.Hour

func run(ctx context.Context, o *options) error {
	ctrl.SetLogger(klog.FromContext(ctx))
	local, leaseNamespace, err := o.local()
	if err != nil {
		return err
	}
	files, remote, namespace, err := o.remote()
	if err != nil {
		return err
	}
	scheme, err := connector.Scheme()
	if err != nil {
		return err
	}
	mgr, err := manager.New(local, manager.Options{
		Scheme:                        scheme,
		Cache:                         connector.LocalCache(),
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
		Controller:                    ctrlconfig.Controller{CacheSyncTimeout: syncTimeout},
		LeaderElection:                o.election.Enabled,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       leaseNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.election.LeaseDuration,
		RenewDeadline:                 &o.election.RenewDeadline,
		RetryPeriod:                   &o.election.RetryPeriod,
	})
	if err != nil {
		return fmt.Errorf("reach this cluster: %w", err)
	}
	there, err := cluster.New(remote, func(c *cluster.Options) {
		c.Scheme, c.Cache = scheme, connector.RemoteCache(namespace)
	})
	if err != nil {
		return fmt.Errorf("reach EPIC: %w", err)
	}
	// The UID of this namespace identifies the cluster, for other tools as well.
	identity := &corev1.Namespace{}
	if err := mgr.GetAPIReader().Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, identity); err != nil {
		return fmt.Errorf("read the namespace %s of this cluster: %w", metav1.NamespaceSystem, err)
	}
	secrets := connector.FolderSecrets(o.secretsDir, namespace)
	if o.secretsDir == "" {
		direct, err := client.New(remote, client.Options{Scheme: scheme})
		if err != nil {
			return fmt.Errorf("reach EPIC: %w", err)
		}
		secrets = connector.APISecrets(direct, namespace, string(identity.UID))
	}
	if err := connector.Add(ctx, mgr, there, connector.Options{
		Cluster: o.cluster, ClusterUID: string(identity.UID), FormerClusters: o.formerClusters, Namespace: namespace, Group: o.group,
		Workers: o.workers, RetryRefused: o.retryRefused, RewriteSecrets: o.rewriteSecrets, Secrets: secrets,
	}); err != nil {
		return err
	}
	synced := func(ctx context.Context) bool {
		return mgr.GetCache().WaitForCacheSync(ctx) && there.GetCache().WaitForCacheSync(ctx)
	}
	if err := mgr.Add(everywhere(func(ctx context.Context) error { return serve(ctx, &o.observe, synced) })); err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	if err := o.addCredentials(ctx, mgr, files, local, remote, leaseNamespace, namespace); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Connecting", "cluster", o.cluster, "namespace", namespace, "epic", files.Transport.Credential().Config.Host)
	return mgr.Start(ctx)
}

// addCredentials keeps the credential for EPIC current, and gives nodes theirs.
func (o *options) addCredentials(ctx context.Context, mgr manager.Manager, files *credential.Files, local, remote *rest.Config, leaseNamespace, namespace string) error {
	here, err := kubernetes.NewForConfig(local)
	if err != nil {
		return fmt.Errorf("reach this cluster: %w", err)
	}
	there, err := kubernetes.NewForConfig(remote)
	if err != nil {
		return fmt.Errorf("reach EPIC: %w", err)
	}
	files.Observe = renewal.Observe
	renewal.Observe(files.Transport.Credential())
	if err := mgr.Add(everywhere(func(ctx context.Context) error { files.Run(ctx); return nil })); err != nil {
		return fmt.Errorf("read credentials again: %w", err)
	}
	if o.credentialSecret != "" {
		if err := mgr.Add(&renewal.Renewer{
			Transport: files.Transport, Client: there, Store: nodes.StoreSecret(here, leaseNamespace, o.credentialSecret, credentialKey),
		}); err != nil {
			return fmt.Errorf("renew the credential for EPIC: %w", err)
		}
	}
	return o.addNodes(ctx, mgr, here, there, leaseNamespace, namespace, files.Transport)
}

// everywhere is work of every replica.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection reports that every replica does it.
func (everywhere) NeedLeaderElection() bool { return false }

// serve serves metrics and health checks until ctx ends. The program is ready when every
// object is known.
func serve(ctx context.Context, options *observe.Options, synced func(context.Context) bool) error {
	handler := promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{})
	ready := func(r *http.Request) error {
		// A probe does not wait.
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		if !synced(ctx) {
			return errors.New("not every object is known yet: see whether both clusters answer, and whether this program may list and watch there")
		}
		return nil
	}
	stop, err := options.Serve(ctx, handler,
		[]healthz.HealthChecker{healthz.PingHealthz}, []healthz.HealthChecker{healthz.NamedCheck("objects", ready)})
	if err != nil {
		return err
	}
	<-ctx.Done()
	stop()
	return nil
}
