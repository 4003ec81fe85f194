// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Secure holds the flags for metrics served over TLS to clients that a kube-apiserver
// authenticates and authorizes. A client presents a bearer token of the cluster in which
// the program runs and needs permission to get the path /metrics.
type Secure struct {
	// Address is the address of metrics; empty disables them.
	Address string
	// CertFile and KeyFile are the serving certificate, which is reloaded when the files
	// change. If they are empty, the program creates a self-signed certificate.
	CertFile, KeyFile string
	// Kubeconfig names the cluster that authenticates clients; empty for the one in which
	// the program runs.
	Kubeconfig string
}

// AddFlags adds the flags.
func (s *Secure) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&s.Address, "secure-metrics-address", s.Address, "Address on which to serve /metrics over HTTPS, instead of HTTP, to clients whose token the cluster accepts and that may get the path /metrics; empty to disable.")
	fs.StringVar(&s.CertFile, "secure-metrics-cert-file", s.CertFile, "The certificate of --secure-metrics-address, read again when it changes. Default: a self-signed certificate.")
	fs.StringVar(&s.KeyFile, "secure-metrics-key-file", s.KeyFile, "The private key of that certificate.")
	fs.StringVar(&s.Kubeconfig, "secure-metrics-kubeconfig", s.Kubeconfig, "Kubeconfig of the cluster that checks the tokens. Default: the cluster in which the program runs, with its service account.")
}

// listenAddress returns an address with its port in the form required by package net. An
// IPv6 address does not need brackets here, because a manifest that composes the flag
// from a node's address and a port does not know the address family.
func listenAddress(text string) (string, error) {
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		if host, err := netip.ParseAddr(text[:i]); err == nil && host.Is6() {
			text = net.JoinHostPort(text[:i], text[i+1:])
		}
	}
	_, _, err := net.SplitHostPort(text)
	return text, err
}

// Enabled reports whether metrics are served over TLS, and therefore not over HTTP.
func (s *Secure) Enabled() bool { return s.Address != "" }

// Validate checks the flags.
func (s *Secure) Validate() error {
	if !s.Enabled() {
		if s.CertFile != "" || s.KeyFile != "" || s.Kubeconfig != "" {
			return errors.New("--secure-metrics-address is not set: set it, or remove the other --secure-metrics flags")
		}
		return nil
	}
	if _, err := listenAddress(s.Address); err != nil {
		return fmt.Errorf("--secure-metrics-address: %w: set an address and a port, such as :9607", err)
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return errors.New("--secure-metrics-cert-file and --secure-metrics-key-file must be set together: set both, or none")
	}
	return nil
}

// Serve serves metrics until stop is called or ctx ends. Without an address it does nothing.
func (s *Secure) Serve(ctx context.Context, metrics http.Handler) (stop func(), err error) {
	if !s.Enabled() {
		return func() {}, nil
	}
	config, err := s.cluster()
	if err != nil {
		return nil, fmt.Errorf("--secure-metrics-address requires a cluster that checks tokens: %w: set --secure-metrics-kubeconfig", err)
	}
	handler, err := authorized(config, metrics)
	if err != nil {
		return nil, fmt.Errorf("--secure-metrics-address: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	certificate, err := s.certificate(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	address, err := listenAddress(s.Address)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("--secure-metrics-address: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("--secure-metrics-address: %w", err)
	}
	klog.FromContext(ctx).Info("Serving metrics to authorized clients", "address", listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	stopServer := serve(ctx, tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: certificate, NextProtos: []string{"h2", "http/1.1"},
	}), mux)
	return func() { stopServer(); cancel() }, nil
}

// cluster returns the client configuration for the cluster that authenticates clients.
func (s *Secure) cluster() (*rest.Config, error) {
	if s.Kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
}

type certificateFunc = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// certificate returns the serving certificate: that of the files, or a self-signed one.
func (s *Secure) certificate(ctx context.Context) (certificateFunc, error) {
	if s.CertFile != "" {
		watcher, err := certwatcher.New(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--secure-metrics-cert-file: %w", err)
		}
		go func() {
			if err := watcher.Start(ctx); err != nil {
				klog.FromContext(ctx).Error(err, "Can't watch the metrics certificate for changes", "file", s.CertFile)
			}
		}()
		return watcher.GetCertificate, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("determine the hostname for the metrics certificate: %w", err)
	}
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create the metrics certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("create the metrics certificate: %w", err)
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, nil
}
