// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // metrics of the queues
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/controller"
	"github.com/acnodal/epic/pkg/controller/leader"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// run runs a controller until ctx ends or its lease is lost.
func run(ctx context.Context, o *options) error {
	logger := klog.FromContext(ctx)
	config, namespace, err := o.clients()
	if err != nil {
		return err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("how to reach the API server: %w", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("how to reach the API server: %w", err)
	}
	c, err := controller.New(controller.Options{
		Client: client, Kube: kube, Workers: o.workers, Resync: o.resync, NodeTimeout: o.nodeTimeout,
		Linger: controller.DefaultLinger, Settle: controller.DefaultSettle, PoolSettle: controller.DefaultPoolSettle,
	})
	if err != nil {
		return err
	}
	live := []healthz.HealthChecker{healthz.PingHealthz}
	ready := []healthz.HealthChecker{c.CheckCaches()}
	var election *leader.Election
	if o.election.Enabled {
		if election, err = newElection(o, config, namespace); err != nil {
			return err
		}
		live = append(live, election.LiveCheck())
		ready = append(ready, election.ReadyCheck())
	}
	stop, err := o.observe.Serve(ctx, legacyregistry.Handler(), live, ready)
	if err != nil {
		return err
	}
	defer stop()

	logger.Info("Starting", "program", program, "version", buildinfo.Release(), "server", config.Host)
	// The caches go last: the work needs them to its end.
	caches, stopCaches := context.WithCancel(context.WithoutCancel(ctx))
	defer c.Shutdown()
	defer stopCaches()
	c.Start(caches)
	if election == nil {
		logger.Info("Leader election is off: no other controller should run")
		err = c.Run(ctx)
	} else {
		err = election.Run(ctx, c.Run)
	}
	if err == nil {
		logger.Info("Stopped")
	}
	return err
}

func newElection(o *options, config *rest.Config, namespace string) (*leader.Election, error) {
	// Its requests wait behind no others, and none as long as the deadline.
	config = rest.CopyConfig(config)
	config.Timeout = o.election.RenewDeadline / 2
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("how to reach the API server: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding a name for this controller: %w", err)
	}
	election, err := leader.New(leader.Options{
		Client: client, Namespace: namespace, Identity: host + "_" + string(uuid.NewUUID()),
		LeaseDuration: o.election.LeaseDuration, RenewDeadline: o.election.RenewDeadline, RetryPeriod: o.election.RetryPeriod,
	})
	if err != nil {
		return nil, err
	}
	return election, election.CheckLeases()
}
