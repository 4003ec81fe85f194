// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	"k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/acnodal/epic/pkg/apiserver/nodeauthorizer"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/pki"
)

// healthPaths lists the paths of a standalone server that do not require authentication.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// StandaloneOptions configures a server without a kube-apiserver: its own certificates,
// and one administrator with all permissions.
type StandaloneOptions struct {
	// Enabled selects this mode.
	Enabled bool
	// KubeconfigOut is where the administrator's kubeconfig is written.
	KubeconfigOut string
}

// NewStandaloneOptions returns the defaults.
func NewStandaloneOptions() *StandaloneOptions { return &StandaloneOptions{} }

// AddFlags adds the flags.
func (o *StandaloneOptions) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.Enabled, "standalone", o.Enabled, "Serve without a kube-apiserver, with generated certificates, on 127.0.0.1 by default")
	fs.StringVar(&o.KubeconfigOut, "kubeconfig-out", o.KubeconfigOut, "Write the administrator's kubeconfig to `FILE`")
}

// Validate checks the values.
func (o *StandaloneOptions) Validate(dataDir string) []error {
	var errs []error
	if o.Enabled && dataDir == "" {
		errs = append(errs, errors.New("--standalone requires --data-dir for certificates and, without --etcd-servers, data: set it"))
	}
	if !o.Enabled && o.KubeconfigOut != "" {
		errs = append(errs, errors.New("--kubeconfig-out requires --standalone: clients reach an aggregated server through the kube-apiserver"))
	}
	return errs
}

// DefaultBindAddress binds a standalone server to this machine only, unless the operator
// sets another address.
func (o *StandaloneOptions) DefaultBindAddress(fs *pflag.FlagSet, serving *ServingOptions) {
	if o.Enabled && !fs.Changed("bind-address") {
		serving.BindAddress = net.IPv4(127, 0, 0, 1)
	}
}

// OpenPKI creates the certificates if they are missing and sets them in the serving
// options.
func (o *StandaloneOptions) OpenPKI(ctx context.Context, dataDir string, serving *ServingOptions) (*pki.Store, error) {
	addresses := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	switch {
	case serving.BindAddress.IsUnspecified():
		local, err := localAddresses()
		if err != nil {
			return nil, fmt.Errorf("can't list the addresses of this machine: %w", err)
		}
		addresses = append(addresses, local...)
	case !serving.BindAddress.IsLoopback():
		addresses = append(addresses, serving.BindAddress)
	}
	store, err := pki.Open(ctx, pki.Directory(dataDir), []string{"localhost"}, addresses)
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	serving.ServerCert.CertKey.CertFile, serving.ServerCert.CertKey.KeyFile = store.ServingFiles()
	return store, nil
}

// localAddresses returns the addresses of this machine that others can reach.
func localAddresses() ([]net.IP, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []net.IP
	for _, address := range all {
		if n, ok := address.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			out = append(out, n.IP)
		}
	}
	return out, nil
}

// ApplyTo configures authentication, authorization and admission of a standalone server.
func (o *StandaloneOptions) ApplyTo(c *genericapiserver.Config, store *pki.Store, nodes *nodeidentity.Identifier) error {
	ca, err := dynamiccertificates.NewDynamicCAContentFromFile("standalone-ca", store.CAFile())
	if err != nil {
		return fmt.Errorf("can't read the authority's certificate: %w", err)
	}
	if err := c.Authentication.ApplyClientCert(ca, c.SecureServing); err != nil {
		return fmt.Errorf("can't use the authority's certificate: %w", err)
	}
	anonymous := &apiserver.AnonymousAuthConfig{Enabled: true}
	for _, p := range healthPaths {
		anonymous.Conditions = append(anonymous.Conditions, apiserver.AnonymousAuthCondition{Path: p})
	}
	authenticator, definitions, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		ClientCertificateCAContentProvider: ca,
		Anonymous:                          anonymous,
	}.New()
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	c.Authentication.Authenticator = authenticator
	c.OpenAPIConfig.SecurityDefinitions = definitions

	health, err := path.NewAuthorizer(healthPaths)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	c.Authorization.Authorizer, err = union.New(
		union.NamedAuthorizer{AuthorizerName: "privileged-groups", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		union.NamedAuthorizer{AuthorizerName: "health-paths", Authorizer: health},
		union.NamedAuthorizer{AuthorizerName: "nodes", Authorizer: nodeauthorizer.New(nodes)},
	)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	// There are no namespaces to watch, no webhooks and no quotas.
	c.AdmissionControl = admission.NewChainHandler()
	return nil
}
