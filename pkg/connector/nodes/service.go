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
	// AuthoritySecret has the certificate authority of the connector, in its namespace.
	AuthoritySecret = "epic-connector-authority"
	// AuthorityConfigMap shows the authority to nodes, in the namespace of the node program.
	AuthorityConfigMap = "epic-connector-ca"
	// AuthorityKey is its key.
	AuthorityKey = "ca.crt"

	// retryAfter is how long the connector waits for its cluster.
	retryAfter = 2 * time.Second
)

// Service serves a Server over TLS, with a certificate of an authority that the connector
// keeps in its cluster. It implements controller-runtime's Runnable: every replica serves.
type Service struct {
	Server *Server
	// Address is where to listen.
	Address string
	// Names are those by which nodes reach the connector.
	Names []string
	// Client is of the client cluster.
	Client kubernetes.Interface
	// Namespace has the authority, NodeNamespace the nodes' view of it.
	Namespace, NodeNamespace string
	// Leads reports whether this replica replaces an old authority.
	Leads func() bool
}

// NeedLeaderElection reports that every replica serves.
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
		// Nodes see an authority before it signs: it is in the bundle for long before.
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

// until tries something until it works or ctx ends, and reports the first failure.
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

// show writes the authority's certificates where nodes find them.
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

// StoreSecret returns a function that keeps a kubeconfig in a Secret.
func StoreSecret(client kubernetes.Interface, namespace, name, key string) func(context.Context, []byte) error {
	return func(ctx context.Context, kubeconfig []byte) error {
		want := corev1ac.Secret(name, namespace).WithType(corev1.SecretTypeOpaque).
			WithLabels(map[string]string{epic.PartOfLabel: epic.ProductName}).WithData(map[string][]byte{key: kubeconfig})
		_, err := client.CoreV1().Secrets(namespace).Apply(ctx, want, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		return err
	}
}

// sweepEvery is how often service accounts of nodes that are gone are looked for.
const sweepEvery = 5 * time.Minute

// Sweeper ends the credentials of nodes that are gone. It implements
// controller-runtime's Runnable.
type Sweeper struct {
	Accounts *Accounts
	// Changed receives when a Node went away; may be nil.
	Changed <-chan struct{}
}

// NeedLeaderElection reports that one replica does it.
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
			// The program of a node that is only renamed asks by itself.
		}
	}
}
