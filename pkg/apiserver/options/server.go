// SPDX-License-Identifier: Apache-2.0

package options

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apiserver"
	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	"github.com/acnodal/epic/pkg/apiserver/readiness"
	"github.com/acnodal/epic/pkg/apiserver/serving"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/reach"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// readyTimeout limits one check of the claims for readyz.
const readyTimeout = 5 * time.Second

// Server is an API server together with resources that outlive it: the connection of the
// claims, and the embedded etcd.
type Server struct {
	// Generic serves the API.
	Generic *genericapiserver.GenericAPIServer
	// URL is the address for clients on this machine.
	URL string

	options *Options
	pki     *pki.Store
	claims  *claims.Backend
	etcd    *embedetcd.Server
	// nodes determines which node sent a request, and keys has the master keys of their
	// tunnels.
	nodes *nodeidentity.Identifier
	keys  *tunnelkey.File
	// placements determines on which node a proxy runs.
	placements *placement.Checker
	// garbage is set if the server is standalone.
	garbage *garbageCollection
}

// NewServer checks the machine, starts the embedded etcd if it is used, and builds a
// server that Run starts. The options must be complete and valid, and can't be reused: a
// second server needs new ones.
func (o *Options) NewServer(ctx context.Context) (server *Server, err error) {
	s := &Server{options: o, nodes: o.Nodes.Identifier(), placements: &placement.Checker{}}
	defer func() { //nolint:contextcheck // it must close although ctx has ended
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// Fast checks come first, and the port comes before the storage, so a second start of
	// the same command quickly fails with "port in use" or "directory in use".
	if err := s.checkFiles(ctx); err != nil {
		return nil, err
	}
	if err := o.Serving.Listen(ctx); err != nil {
		return nil, err
	}
	s.URL = o.Serving.URL()
	if err := s.startStorage(ctx); err != nil {
		return nil, err
	}
	config, err := s.config() //nolint:contextcheck // its hooks and handlers get their own contexts
	if err != nil {
		return nil, err
	}
	built, err := config.Complete().New() //nolint:contextcheck // what it installs gets its contexts from requests
	if err != nil {
		return nil, err
	}
	s.Generic = built.GenericAPIServer
	if s.garbage != nil {
		if err := s.Generic.AddPreShutdownHook("stop-collecting-garbage", s.garbage.stop); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) checkFiles(ctx context.Context) (err error) {
	o := s.options
	if o.Embedded.DataDir != "" {
		if o.Embedded.DataDir, err = embedetcd.Prepare(o.Embedded.DataDir); err != nil {
			return fmt.Errorf("--data-dir: %w", err)
		}
	}
	if o.Standalone.Enabled {
		if s.pki, err = o.Standalone.OpenPKI(ctx, o.Embedded.DataDir, o.Serving); err != nil {
			return err
		}
	} else if err := o.Kube.Check(); err != nil {
		return err
	}
	if s.keys, err = o.Nodes.OpenKeys(ctx, o.Standalone.Enabled, o.Embedded.DataDir); err != nil {
		return err
	}
	return o.Serving.Check()
}

// startStorage starts etcd and the claims.
func (s *Server) startStorage(ctx context.Context) (err error) {
	o := s.options
	transport := &o.Etcd.StorageConfig.Transport
	if o.EmbedsEtcd() {
		if s.etcd, err = o.Embedded.Start(ctx); err != nil {
			return err
		}
		transport.ServerList = []string{s.etcd.Endpoint()}
	}
	if err := o.Etcd.Check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Etcd.StartTimeout)
	defer cancel()
	if s.claims, err = claims.NewBackend(ctx, o.Etcd.StorageConfig, claims.WithCooling(o.Etcd.AddressCooling)); err != nil {
		return fmt.Errorf("storage under --etcd-prefix %s: %w", o.Etcd.StorageConfig.Prefix, err)
	}
	return nil
}

// config builds the configuration from the options.
func (s *Server) config() (*apiserver.Config, error) {
	o := s.options
	c := apiserver.NewGenericConfig()
	if err := o.Run.ApplyTo(&c.Config); err != nil {
		return nil, err
	}
	if err := o.Serving.ApplyTo(&c.Config); err != nil {
		return nil, err
	}
	if err := o.Observe.ApplyTo(&c.Config); err != nil {
		return nil, err
	}
	config := &apiserver.Config{GenericConfig: c, ExtraConfig: apiserver.ExtraConfig{
		Claims:            s.claims,
		Standalone:        o.Standalone.Enabled,
		AuditInterval:     o.Etcd.AuditInterval,
		TunnelKeys:        s.keys,
		TunnelKeyRotation: o.Nodes.Rotation(o.Standalone.Enabled),
		Nodes:             s.nodes,
		AccountLimits:     o.Limits.Account,
		Placements:        s.placements,
	}}
	apply := s.applyCluster
	if o.Standalone.Enabled {
		apply = s.applyStandalone
	}
	if err := apply(config); err != nil {
		return nil, err
	}
	if err := s.addBackups(c); err != nil {
		return nil, err
	}
	addOwnAdmission(&c.Config, s.nodes, s.placements)
	// Apply this last: it starts clients of etcd that only a server that has run can end.
	if err := o.Etcd.ApplyTo(&c.Config); err != nil {
		return nil, err
	}
	s.addHealthChecks(c)
	return config, nil
}

func (s *Server) addHealthChecks(c *genericapiserver.RecommendedConfig) {
	if s.etcd != nil {
		c.AddHealthChecks(healthz.NamedCheck("embedded-etcd", func(*http.Request) error { return s.etcd.Healthy() }))
	}
	c.AddReadyzChecks(healthz.NamedCheck("claim-schema", func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		return s.claims.Ready(ctx)
	}))
	// Clients such as "kubectl get --raw" show the first 2 KiB of an error response, so
	// the many permission checks come after checks that fail more often.
	slices.SortStableFunc(c.ReadyzChecks, func(a, b healthz.HealthChecker) int {
		return cmp.Compare(permissionCheck(a), permissionCheck(b))
	})
}

// permissionCheck is 1 for a check of a permission and 0 for any other.
func permissionCheck(c healthz.HealthChecker) int {
	if strings.HasPrefix(c.Name(), readiness.CheckPrefix) {
		return 1
	}
	return 0
}

// applyStandalone configures a server without a cluster.
func (s *Server) applyStandalone(config *apiserver.Config) error {
	c := config.GenericConfig
	if err := s.options.Standalone.ApplyTo(&c.Config, s.pki, s.nodes); err != nil {
		return err
	}
	// There are no namespace objects, so none is being deleted.
	config.ExtraConfig.NamespaceTerminating = func(context.Context, string) (bool, error) { return false, nil }
	if err := s.options.Features.ApplyTo(&c.Config, nil, nil); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	if err := s.writeKubeconfig(); err != nil {
		return err
	}
	s.garbage = newGarbageCollection()
	if err := c.AddPostStartHook("collect-garbage", s.garbage.start); err != nil {
		return err
	}
	return c.AddPostStartHook("renew-standalone-certificates", func(hook genericapiserver.PostStartHookContext) error {
		go s.pki.Renew(hook, s.writeKubeconfig)
		return nil
	})
}

func (s *Server) writeKubeconfig() error {
	path := s.options.Standalone.KubeconfigOut
	if path == "" {
		return nil
	}
	if err := s.pki.WriteKubeconfig(path, s.URL); err != nil {
		return fmt.Errorf("--kubeconfig-out: %w", err)
	}
	return nil
}

// applyCluster configures a server that extends a cluster.
func (s *Server) applyCluster(config *apiserver.Config) error {
	o, c := s.options, config.GenericConfig
	if err := o.Kube.ApplyCoreAPI(c); err != nil {
		return err
	}
	if err := o.Kube.ApplyAuth(c); err != nil {
		return err
	}
	// The kube-apiserver's priority and fairness limits this server. A client-side limit
	// would only make writers wait for one another, because admission sends a request for
	// each.
	c.ClientConfig.QPS = -1
	kube, err := kubernetes.NewForConfig(c.ClientConfig)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	dyn, err := dynamic.NewForConfig(c.ClientConfig)
	if err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	if err := o.Features.ApplyTo(&c.Config, kube, c.SharedInformerFactory); err != nil {
		return fmt.Errorf("--enable-priority-and-fairness: %w", err)
	}
	if err := o.Admission.ApplyTo(c, kube, dyn); err != nil {
		return err
	}
	if s.nodes.Nodes, err = nodeidentity.NewClusterNodes(c.SharedInformerFactory.Core().V1().Nodes(), kube.CoreV1().Nodes()); err != nil {
		return err
	}
	config.ExtraConfig.GatewayCluster = reach.Nodes{Lister: c.SharedInformerFactory.Core().V1().Nodes().Lister()}
	if err := s.addProxyPods(c, kube); err != nil {
		return err
	}
	namespaces := c.SharedInformerFactory.Core().V1().Namespaces()
	config.ExtraConfig.NamespaceTerminating = namespaceTerminating(namespaces.Lister(), kube.CoreV1().Namespaces())
	return s.addPermissionChecks(c, kube)
}

// Run serves until ctx ends or the embedded etcd fails, drains, and then closes the
// storage. It must be called exactly once.
func (s *Server) Run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // ctx has ended by then
	if s.etcd != nil {
		go func() {
			if failure, ok := <-s.etcd.Failed(); ok {
				cancel(failure)
			}
		}()
	}
	klog.FromContext(ctx).Info("Serving", "url", s.URL, "standalone", s.options.Standalone.Enabled, "etcd", s.options.Etcd.StorageConfig.Transport.ServerList)
	prepared := s.Generic.PrepareRun()
	// It continues to serve for a while after ctx has ended.
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := serving.Replace(serve, s.Generic); err != nil {
		return err
	}
	if err := prepared.RunWithContext(ctx); err != nil {
		return fmt.Errorf("the server ended: %w", err)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// close releases the server's resources other than its port. At this point, the API
// server has completed its last request: close the users of etcd first, then etcd.
func (s *Server) close() error {
	var err error
	if s.claims != nil {
		err = s.claims.Close()
	}
	if s.etcd != nil {
		s.etcd.Stop()
	}
	if s.Generic == nil && s.options.Serving.Listener != nil {
		s.options.Serving.Listener.Close() //nolint:errcheck,gosec // nothing was served
	}
	return err
}
