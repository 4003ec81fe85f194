// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/cli/observe"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator"
	"github.com/acnodal/epic/pkg/operator/authority"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
	"github.com/acnodal/epic/pkg/skew"
)

// platform is the implementation that runs Envoys, and its dependencies.
type platform struct {
	// place stores the certificate authority, and names are the names in the operator's
	// own certificate.
	place authority.Place
	names []string
	// authenticator authenticates proxies.
	authenticator issuer.Authenticator
	// listen opens the listener for proxies.
	listen func(ctx context.Context) (listener, error)
	// secret and location are those of operator.Options.
	secret   func(namespace, name string) *corev1.Secret
	location func(publicAddress string) translate.Options
	// states is States of operator.Options.
	states func(op *operator.Operator, server *xds.Server, c *issuer.Credentials) operator.States
	// kept is Kept of operator.Options; nil if there are no pods to query.
	kept func(c *issuer.Credentials) func(context.Context, proxyidentity.Proxy) []*resource.Resource
	// begin completes the platform once the operator and the credentials exist, before
	// anything runs.
	begin func(ctx context.Context, op *operator.Operator, c *issuer.Credentials, server *xds.Server) (runner.Runner, []source.TypedSource[proxyidentity.Proxy], error)
	// end is called at the end.
	end func()
}

// run runs an operator until ctx ends or its lease is lost.
func run(ctx context.Context, o *options) error {
	logger := klog.FromContext(ctx)
	ctrllog.SetLogger(logger)
	config, namespace, err := o.clients()
	if err != nil {
		return err
	}
	epicConfig := rest.CopyConfig(config)
	epicConfig.ContentType = runtime.ContentTypeProtobuf
	epicConfig.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := versioned.NewForConfig(epicConfig)
	if err != nil {
		return fmt.Errorf("configure access to the API server: %w", err)
	}
	mgr, err := newManager(o, config, namespace)
	if err != nil {
		return err
	}
	var p *platform
	if o.runner == runProcesses {
		p, err = newProcesses(o)
	} else {
		p, err = newDeployments(o, mgr, namespace) //nolint:contextcheck // pods and Secrets are read from the cache
	}
	if err != nil {
		return err
	}
	defer p.end()
	return start(ctx, o, mgr, client, p)
}

// start combines the parts and runs them.
func start(ctx context.Context, o *options, mgr manager.Manager, client versioned.Interface, p *platform) error {
	logger := klog.FromContext(ctx)
	a, err := authority.Open(ctx, p.place)
	if err != nil {
		return err
	}
	credentials, err := issuer.NewCredentials(a, p.names, nil)
	if err != nil {
		return fmt.Errorf("create the operator's certificate: %w", err)
	}
	observer := &operator.Observer{}
	server := xds.NewServer(xds.Options{Identify: credentials.Identify, Observer: observer})
	var states func(*operator.Operator) operator.States
	if p.states != nil {
		states = func(op *operator.Operator) operator.States { return p.states(op, server, credentials) }
	}
	var kept func(context.Context, proxyidentity.Proxy) []*resource.Resource
	if p.kept != nil {
		kept = p.kept(credentials)
	}
	kube, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("configure access to the API server: %w", err)
	}
	checker, checking := o.checker(ctx)
	op, err := operator.New(operator.Options{
		States: states, Checker: checker, Kept: kept,
		Client: client, Resync: o.resync, Workers: o.workers, Server: server, Secret: p.secret, Place: p.location, Events: events.New(ctx, kube.CoreV1(), program),
	}, observer)
	if err != nil {
		return err
	}
	op.WaitFor(started(ctx, checker))
	run, sources, err := p.begin(ctx, op, credentials, server)
	if err != nil {
		return err
	}
	if err := op.Control(mgr, run, sources...); err != nil {
		return err
	}
	listener, err := p.listen(ctx)
	if err != nil {
		return err
	}
	leads := make(chan struct{})
	for _, part := range []everywhere{
		op.Serve, checking,
		func(ctx context.Context) error { return serve(ctx, listener, credentials, p.authenticator, server) },
		func(ctx context.Context) error {
			authority.Keep(ctx, p.place, func() bool { return closed(leads) }, credentials.SetAuthority)
			return nil
		},
	} {
		if err := mgr.Add(part); err != nil {
			return err
		}
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		close(leads)
		<-ctx.Done()
		return nil
	})); err != nil {
		return err
	}
	metrics := promhttp.HandlerFor(observe.Merged{legacyregistry.DefaultGatherer, ctrlmetrics.Registry}, promhttp.HandlerOpts{})
	stop, err := o.observe.Serve(ctx, metrics, []healthz.HealthChecker{healthz.PingHealthz}, []healthz.HealthChecker{healthz.NamedCheck("objects", op.Check)})
	if err != nil {
		return err
	}
	defer stop()
	logger.Info("Starting", "program", program, "version", buildinfo.Release(), "server", mgr.GetConfig().Host, "runner", o.runner)
	err = mgr.Start(ctx)
	if err == nil {
		logger.Info("Stopped")
	}
	return err
}

// everywhere is a runnable of every replica, whether it leads or not.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (e everywhere) Start(ctx context.Context) error { return e(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (e everywhere) NeedLeaderElection() bool { return false }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// newManager returns the manager of controllers, with a cache of the objects that run
// proxies.
func newManager(o *options, config *rest.Config, namespace string) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	grace := 10 * time.Second
	kept := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	if o.runner == runDeployments {
		kept.ByObject = cached()
	}
	mgr, err := manager.New(config, manager.Options{
		Scheme: scheme, Logger: klog.Background(),
		// This program serves its own metrics and health checks.
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: o.election.Enabled && o.runner == runDeployments, LeaderElectionID: leaseName, LeaderElectionNamespace: namespace,
		LeaderElectionReleaseOnCancel: true,
		// For "epicctl version".
		LeaderElectionLabels: map[string]string{skew.Label: skew.LabelValue(buildinfo.Release())},
		LeaseDuration:        &o.election.LeaseDuration, RenewDeadline: &o.election.RenewDeadline, RetryPeriod: &o.election.RetryPeriod,
		GracefulShutdownTimeout: &grace,
		Cache:                   kept,
	})
	if err != nil {
		return nil, fmt.Errorf("configure access to the API server: %w", err)
	}
	return mgr, nil
}
