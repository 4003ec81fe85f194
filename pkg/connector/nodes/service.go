// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/operator/authority"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

const (
	// AuthoritySecret is the Secret with the certificate authority of the connector, in
	// its namespace.
	AuthoritySecret = "epic-connector-authority"
	// AuthorityConfigMap publishes the authority to nodes, in the namespace of the node
	// program.
	AuthorityConfigMap = "epic-connector-ca"
	// AuthorityKey is the key in the ConfigMap.
	AuthorityKey = "ca.crt"

	// retryAfter is the delay between attempts to reach the connector's cluster.
	retryAfter = 2 * time.Second
)

// Service serves a Server over TLS, with a certificate of an authority that the connector
// stores in its cluster. It implements controller-runtime's Runnable and runs in every
// replica.
type Service struct {
	Server *Server
	// Address is the address to listen on.
	Address string
	// Names are the names by which nodes reach the connector.
	Names []string
	// Client is a client of the client cluster.
	Client kubernetes.Interface
	// Namespace is the namespace of the authority, NodeNamespace that of its published
	// copy.
	Namespace, NodeNamespace string
	// Leads reports whether this replica renews the authority.
	Leads func() bool
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica serves.
func (s *Service) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (s *Service) Start(ctx context.Context) error {
	place := &authority.Secret{Client: s.Client, Namespace: s.Namespace, Name: AuthoritySecret, Manager: fieldManager}
	var a *pki.ProxyAuthority
	s.until(ctx, "Can't open the connector's certificate authority, trying again", func() (err error) {
		a, err = authority.Open(ctx, place)
		return err
	})
	if a == nil { // ctx has ended
		return nil
	}
	credentials, err := issuer.NewCredentials(a, s.Names, nil)
	if err != nil {
		return err
	}
	show := func(a *pki.ProxyAuthority) {
		// Nodes get an authority before it signs: it is in the bundle long before that.
		s.until(ctx, "Can't publish the connector's certificate authority to nodes, trying again", func() error { return s.show(ctx, a) })
		credentials.SetAuthority(a)
	}
	go func() {
		show(a)
		authority.Keep(ctx, place, s.Leads, show)
	}()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("serve nodes: %w: set --node-bind-address", err)
	}
	klog.FromContext(ctx).Info("Serving nodes", "address", listener.Addr().String())
	serving := &http.Server{
		Handler: s.Server, TLSConfig: credentials.ServerTLS(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 2 * maxToken,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		<-ctx.Done()
		_ = serving.Close()
	}()
	if err := serving.ServeTLS(listener, "", ""); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve nodes: %w", err)
	}
	return nil
}

// until retries do until it succeeds or ctx ends, and logs the first failure.
func (s *Service) until(ctx context.Context, what string, do func() error) {
	reported := false
	for ctx.Err() == nil {
		err := do()
		if err == nil {
			return
		}
		if !reported && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, what)
			reported = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// show writes the authority's certificates to the ConfigMap for nodes.
func (s *Service) show(ctx context.Context, a *pki.ProxyAuthority) error {
	client := s.Client.CoreV1().ConfigMaps(s.NodeNamespace)
	bundle := string(a.Bundle())
	is, err := client.Get(ctx, AuthorityConfigMap, metav1.GetOptions{})
	if err == nil && is.Data[AuthorityKey] == bundle {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read ConfigMap %s: %w", AuthorityConfigMap, err)
	}
	want := corev1ac.ConfigMap(AuthorityConfigMap, s.NodeNamespace).
		WithLabels(map[string]string{epic.PartOfLabel: epic.ProductName}).WithData(map[string]string{AuthorityKey: bundle})
	if _, err := client.Apply(ctx, want, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", AuthorityConfigMap, err)
	}
	return nil
}

// StoreSecret returns a function that stores a kubeconfig in a Secret.
func StoreSecret(client kubernetes.Interface, namespace, name, key string) func(context.Context, []byte) error {
	return func(ctx context.Context, kubeconfig []byte) error {
		want := corev1ac.Secret(name, namespace).WithType(corev1.SecretTypeOpaque).
			WithLabels(map[string]string{epic.PartOfLabel: epic.ProductName}).WithData(map[string][]byte{key: kubeconfig})
		_, err := client.CoreV1().Secrets(namespace).Apply(ctx, want, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		return err
	}
}

// sweepEvery is the interval at which service accounts of nodes that no longer exist are
// removed.
const sweepEvery = 5 * time.Minute

// Sweeper revokes the credentials of nodes that no longer exist. It implements
// controller-runtime's Runnable.
type Sweeper struct {
	Accounts *Accounts
	// Changed receives when a Node is removed; may be nil.
	Changed <-chan struct{}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only one replica runs it.
func (s *Sweeper) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (s *Sweeper) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	reported := false
	for {
		n, err := s.Accounts.Sweep(ctx)
		if err != nil && ctx.Err() == nil && !reported {
			klog.FromContext(ctx).Error(err, "Can't revoke the credentials of deleted nodes, trying again")
		}
		reported = err != nil
		if n > 0 {
			klog.FromContext(ctx).Info("Revoked the credentials of deleted nodes", "nodes", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.Changed:
			// The program of a node that is only renamed requests a new credential
			// itself.
		}
	}
}
