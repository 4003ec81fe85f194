// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // metrics of the queues
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli/kube"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/controller"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// graceful is how long the work may take to end. Its requests are canceled.
const graceful = 10 * time.Second

// run runs a controller until ctx ends or its lease is lost.
func run(ctx context.Context, o *options) error {
	logger := klog.FromContext(ctx)
	ctrllog.SetLogger(logger)
	config, namespace, err := o.clients()
	if err != nil {
		return err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("configure access to the API server: %w", err)
	}
	pods, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("configure access to the API server: %w", err)
	}
	c, err := controller.New(controller.Options{
		Client: client, Kube: pods, Events: events.New(ctx, pods.CoreV1(), program), Workers: o.workers, Resync: o.resync, NodeTimeout: o.nodeTimeout,
		Linger: controller.DefaultLinger, Settle: controller.DefaultSettle, PoolSettle: controller.DefaultPoolSettle,
	})
	if err != nil {
		return err
	}
	live := []healthz.HealthChecker{healthz.PingHealthz}
	ready := []healthz.HealthChecker{c.CheckCaches()}
	var election *lease
	if o.election.Enabled {
		if election, err = newLease(config, namespace, &o.election); err != nil {
			return err
		}
		live = append(live, election.liveCheck())
		ready = append(ready, election.readyCheck())
	}
	mgr, err := newManager(config, election, &o.election)
	if err != nil {
		return err
	}
	if err := c.AddTo(mgr); err != nil {
		return err
	}
	metrics := promhttp.HandlerFor(observe.Merged{legacyregistry.DefaultGatherer, ctrlmetrics.Registry}, promhttp.HandlerOpts{})
	stop, err := o.observe.Serve(ctx, metrics, live, ready)
	if err != nil {
		return err
	}
	defer stop()

	logger.Info("Starting", "program", program, "version", buildinfo.Release(), "server", config.Host)
	if election == nil {
		logger.Info("Leader election is disabled: do not run another controller")
	}
	err = mgr.Start(ctx)
	if err == nil {
		logger.Info("Stopped")
	}
	return err
}

// newManager returns the manager of controllers. They run while it holds the lease, or
// always if election is nil. The lease is released after their work.
func newManager(config *rest.Config, election *lease, times *kube.Election) (manager.Manager, error) {
	options := manager.Options{
		Logger: klog.Background(),
		// This program serves its own metrics and health checks, and has its own caches.
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		GracefulShutdownTimeout: ptr.To(graceful),
	}
	if election != nil {
		options.LeaderElection, options.LeaderElectionID, options.LeaderElectionReleaseOnCancel = true, leaseName, true
		options.LeaderElectionResourceLockInterface = election
		options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &times.LeaseDuration, &times.RenewDeadline, &times.RetryPeriod
	}
	mgr, err := manager.New(config, options)
	if err != nil {
		return nil, fmt.Errorf("configure access to the API server: %w", err)
	}
	return mgr, nil
}
