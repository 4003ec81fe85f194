// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/acnodal/epic/pkg/pki"
)

const (
	// DefaultPort is the port of an aggregated server.
	DefaultPort = 7443
	// maxStreams is sized for the kube-apiserver, which sends the requests of all
	// clients, including long watches, over one connection.
	maxStreams = 1000
)

// ServingOptions configures the listener and its certificate.
type ServingOptions struct {
	*genericoptions.SecureServingOptionsWithLoopback
}

// NewServingOptions returns the defaults.
func NewServingOptions() *ServingOptions {
	o := genericoptions.NewSecureServingOptions()
	o.BindPort = DefaultPort
	o.HTTP2MaxStreamsPerConnection = maxStreams
	// An empty directory keeps the generic server from creating a certificate that no
	// client could verify.
	o.ServerCert.CertDirectory = ""
	return &ServingOptions{o.WithLoopback()}
}

// AddFlags adds the flags.
func (o *ServingOptions) AddFlags(fs *pflag.FlagSet) {
	addFlagsWithout(fs, o.SecureServingOptionsWithLoopback.AddFlags, "cert-dir")
	// The library's help describes features that this server does not have: running
	// without a port, and signing its own certificate.
	fs.Lookup("secure-port").Usage = "Listen on this `PORT`; 0 for any free one"
	fs.Lookup("tls-cert-file").Usage = "Serve with the certificate (and its chain) in `FILE`, which is read again when it changes"
}

// Validate checks the values.
func (o *ServingOptions) Validate(standalone bool) []error {
	errs := o.SecureServingOptionsWithLoopback.Validate()
	pair := o.ServerCert.CertKey
	switch {
	case standalone && (pair.CertFile != "" || pair.KeyFile != ""):
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file can't be combined with --standalone, which creates its own certificate: remove them"))
	case !standalone && (pair.CertFile == "" || pair.KeyFile == ""):
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file must be set: the kube-apiserver verifies the certificate of this server with the caBundle of its APIService; or use --standalone"))
	}
	return errs
}

// Check checks the certificates on disk.
func (o *ServingOptions) Check() error {
	if file := o.ServerCert.CertKey.CertFile; file != "" {
		if err := pki.CheckFile("tls-cert-file", file, time.Now()); err != nil {
			return err
		}
	}
	for _, sni := range o.SNICertKeys {
		if err := pki.CheckFile("tls-sni-cert-key", sni.CertFile, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Listen opens the port. The generic options can't do this, because they treat port 0 as
// no port; here it means any free one.
func (o *ServingOptions) Listen(ctx context.Context) error {
	if o.Listener != nil {
		return nil
	}
	network := o.BindNetwork
	if network == "" {
		network = "tcp"
	}
	address := net.JoinHostPort(o.BindAddress.String(), strconv.Itoa(o.BindPort))
	listener, err := o.listenConfig().Listen(ctx, network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("--secure-port: another process listens on %s: stop it, or choose another port", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--bind-address: this machine does not have the address %s: choose one that it has", o.BindAddress)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("--secure-port: this user may not listen on %s: choose a port above 1023", address)
	case err != nil:
		return fmt.Errorf("--bind-address, --secure-port: can't listen on %s: %w", address, err)
	}
	o.Listener = listener
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		o.BindPort = addr.Port
	}
	return nil
}

func (o *ServingOptions) listenConfig() *net.ListenConfig {
	config := &net.ListenConfig{}
	if o.PermitPortSharing || o.PermitAddressSharing {
		config.Control = func(_, _ string, conn syscall.RawConn) error {
			return permitSharing(conn, o.PermitPortSharing, o.PermitAddressSharing)
		}
	}
	return config
}

// URL returns the address for clients on this machine.
func (o *ServingOptions) URL() string {
	host := o.BindAddress.String()
	if o.BindAddress.IsUnspecified() {
		host = "127.0.0.1"
		if o.BindAddress.To4() == nil {
			host = "::1"
		}
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(o.BindPort))
}

// ApplyTo sets the server's listener and its certificates, which are reloaded when the
// files change.
func (o *ServingOptions) ApplyTo(c *genericapiserver.Config) error {
	if err := o.ApplyToConfig(c); err != nil {
		flags := []string{"--tls-cert-file", "--tls-private-key-file"}
		if len(o.SNICertKeys) > 0 {
			flags = append(flags, "--tls-sni-cert-key")
		}
		return fmt.Errorf("%s: %w", strings.Join(flags, ", "), err)
	}
	return nil
}
