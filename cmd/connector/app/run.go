// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/connector"
	"github.com/acnodal/epic/pkg/connector/access"
	"github.com/acnodal/epic/pkg/connector/nodes"
	"github.com/acnodal/epic/pkg/connector/renewal"
	"github.com/acnodal/epic/pkg/credential"
)

// syncTimeout is how long the connector waits for either cluster before it ends and is
// restarted. An outage of EPIC may take long, and nothing is lost.
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
		c.MapperProvider = func(*rest.Config, *http.Client) (apimeta.RESTMapper, error) { return connector.RemoteMapper(), nil }
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
		direct, err := client.New(remote, client.Options{Scheme: scheme, Mapper: there.GetRESTMapper()})
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
	reporter, err := o.addCredentials(ctx, mgr, files, local, remote, leaseNamespace, namespace)
	if err != nil {
		return err
	}
	if reporter.Classes, err = client.New(local, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("reach this cluster: %w", err)
	}
	direct := there.GetAPIReader()
	reporter.Ask = func(ctx context.Context) error {
		return direct.List(ctx, &epicv1.GWProxyList{}, client.InNamespace(namespace), client.Limit(1))
	}
	elected := leads(mgr)
	reporter.Writes = func() bool {
		// No leader is elected before EPIC has been available once.
		now, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return elected() || !synced(now)
	}
	klog.FromContext(ctx).Info("Connecting", "cluster", o.cluster, "namespace", namespace, "epic", files.Transport.Credential().Config.Host)
	return together(ctx, func(ctx context.Context) error { return mgr.Start(ctx) },
		// The manager starts nothing before both clusters are available. Until then, the
		// program is also alive, accepts another credential, and reports problems.
		func(ctx context.Context) error { return serve(ctx, &o.observe, synced) },
		func(ctx context.Context) error { files.Run(ctx); return nil },
		func(ctx context.Context) error { reporter.Run(ctx); return nil },
	)
}

// together runs functions concurrently, and ends all of them when the first ends.
func together(ctx context.Context, work ...func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	for _, each := range work {
		group.Go(func() error {
			defer stop()
			return each(ctx)
		})
	}
	return group.Wait()
}

// addCredentials keeps the credential for EPIC current, and issues credentials to nodes.
// It returns the reporter for the credential.
func (o *options) addCredentials(ctx context.Context, mgr manager.Manager, files *credential.Files, local, remote *rest.Config, leaseNamespace, namespace string) (*access.Reporter, error) {
	here, err := kubernetes.NewForConfig(local)
	if err != nil {
		return nil, fmt.Errorf("reach this cluster: %w", err)
	}
	there, err := kubernetes.NewForConfig(remote)
	if err != nil {
		return nil, fmt.Errorf("reach EPIC: %w", err)
	}
	files.Observe = renewal.Observe
	renewal.Observe(files.Transport.Credential())
	reporter := &access.Reporter{Transport: files.Transport}
	if o.credentialSecret != "" {
		renewer := &renewal.Renewer{
			Transport: files.Transport, Client: there, Store: nodes.StoreSecret(here, leaseNamespace, o.credentialSecret, credentialKey),
		}
		if err := mgr.Add(renewer); err != nil {
			return nil, fmt.Errorf("renew the credential for EPIC: %w", err)
		}
		reporter.Renewal = renewer.Failure
	}
	return reporter, o.addNodes(ctx, mgr, here, there, leaseNamespace, namespace, files.Transport)
}

// serve serves metrics and health checks until ctx ends. The program is ready when every
// object is known.
func serve(ctx context.Context, options *observe.Options, synced func(context.Context) bool) error {
	// Each registry has some of the libraries' metrics: those of leader election are in
	// the legacy one.
	handler := promhttp.HandlerFor(observe.Merged{legacyregistry.DefaultGatherer, metrics.Registry}, promhttp.HandlerOpts{})
	ready := func(r *http.Request) error {
		// A probe must not wait.
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		if !synced(ctx) {
			return errors.New("the caches are not filled yet: check whether both clusters respond, and whether this program may list and watch there")
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
