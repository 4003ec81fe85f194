// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// settlePause is the time between two checks of the use of lent Secrets.
const settlePause = 5 * time.Second

// secretRunner removes, at startup, the Secrets that became unneeded while the connector
// was not running, and periodically rewrites those that are needed.
type secretRunner struct {
	*base
	synced func(context.Context) bool
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only one replica runs it.
func (s *secretRunner) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (s *secretRunner) Start(ctx context.Context) error {
	if !s.synced(ctx) {
		return nil
	}
	s.warnOfNamesakes(ctx)
	retry := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 6, Cap: time.Minute}
	for swept := false; ; {
		work := s.sweep
		if swept {
			work = s.secrets.rewrite
		}
		err := work(ctx)
		after := wait.Jitter(s.options.RewriteSecrets, 0.2)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of ctx is not a failure
		case err != nil:
			after = retry.Step()
			klog.FromContext(ctx).Error(err, "Could not write all Secrets to EPIC, trying again", "after", after)
		default:
			swept = true
			retry.Duration, retry.Steps = time.Second, 6
			if s.options.RewriteSecrets <= 0 {
				after = math.MaxInt64
			}
		}
		if !s.pause(ctx, after) {
			return nil
		}
	}
}

// pause waits, and removes Secrets that are no longer used. It returns false if ctx ends.
func (s *secretRunner) pause(ctx context.Context, after time.Duration) bool {
	end := time.After(after)
	look := time.NewTicker(settlePause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-end:
			return true
		case <-look.C:
			if err := s.secrets.settle(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Could not remove Secrets from EPIC that are no longer needed; trying again", "after", settlePause)
			}
		}
	}
}

// sweep removes the Secrets of earlier runs. Another running connector may have written
// some of them last, so those that are needed are written again.
func (s *secretRunner) sweep(ctx context.Context) error {
	config, err := s.config(ctx)
	if err != nil {
		return err
	}
	v := s.view(ctx)
	for _, name := range allGateways(v, nil) {
		if gateway := v.Gateway(name); gateway != nil {
			if r := publish.Gateway(config, v, gateway, publish.Remote{}); r != nil {
				if err := s.secrets.apply(ctx, "Gateway/"+name.String(), r.Secrets); err != nil {
					return err
				}
			}
		}
	}
	for _, route := range v.routes() {
		r := route.Publish(config, v, publish.RemoteRoute{})
		if err := s.secrets.apply(ctx, string(route.Kind)+"/"+route.GetNamespace()+"/"+route.GetName(), r.Secrets); err != nil {
			return err
		}
	}
	if err := s.secrets.sweep(ctx); err != nil {
		return err
	}
	return s.secrets.rewrite(ctx)
}

// warnOfNamesakes logs a warning if another client cluster publishes under the same name.
// The connectors do not change each other's objects, but people can't distinguish them.
func (s *secretRunner) warnOfNamesakes(ctx context.Context) {
	var proxies epicv1.GWProxyList
	var balancers epicv1.LoadBalancerList
	if s.epic.List(ctx, &proxies, client.UnsafeDisableDeepCopy) != nil || s.epic.List(ctx, &balancers, client.UnsafeDisableDeepCopy) != nil {
		return
	}
	var others []client.Object
	for i := range proxies.Items {
		others = append(others, &proxies.Items[i])
	}
	for i := range balancers.Items {
		others = append(others, &balancers.Items[i])
	}
	for _, o := range others {
		if s.remote.namesake(o) && !s.remote.mine(o) {
			klog.FromContext(ctx).Error(nil, "Another client cluster has published under this cluster's name. Rename one of them, "+
				"or, if this cluster replaces it, start the connector with --former-clusters="+s.options.Cluster,
				"cluster", s.options.Cluster, "object", kindOf(o)+"/"+o.GetName(), "uid", o.GetAnnotations()[publish.ClusterUIDKey], "ownUID", s.options.ClusterUID)
			return
		}
	}
}
