// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/pki"
)

// KubeOptions configures the connection to the kube-apiserver that this server extends,
// and delegated authentication and authorization.
type KubeOptions struct {
	// CoreAPI is the connection to the kube-apiserver.
	CoreAPI *genericoptions.CoreAPIOptions
	// Authentication delegates authentication to it and trusts its front proxy.
	Authentication *genericoptions.DelegatingAuthenticationOptions
	// Authorization delegates authorization to it.
	Authorization *genericoptions.DelegatingAuthorizationOptions
}

// NewKubeOptions returns the defaults.
func NewKubeOptions() *KubeOptions {
	return &KubeOptions{
		CoreAPI:        genericoptions.NewCoreAPIOptions(),
		Authentication: genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:  genericoptions.NewDelegatingAuthorizationOptions(),
	}
}

// AddFlags adds the flags of the connection, authentication and authorization to their
// groups.
func (o *KubeOptions) AddFlags(core, authentication, authorization *pflag.FlagSet) {
	o.CoreAPI.AddFlags(core)
	o.Authentication.AddFlags(authentication)
	o.Authorization.AddFlags(authorization)
}

// Complete uses one kubeconfig for all three purposes.
func (o *KubeOptions) Complete() {
	if o.Authentication.RemoteKubeConfigFile == "" {
		o.Authentication.RemoteKubeConfigFile = o.CoreAPI.CoreAPIKubeconfigPath
	}
	if o.Authorization.RemoteKubeConfigFile == "" {
		o.Authorization.RemoteKubeConfigFile = o.CoreAPI.CoreAPIKubeconfigPath
	}
}

// Validate checks the values.
func (o *KubeOptions) Validate() []error {
	errs := o.CoreAPI.Validate()
	errs = append(errs, o.Authentication.Validate()...)
	return append(errs, o.Authorization.Validate()...)
}

// Check checks that the files can be read.
func (o *KubeOptions) Check() error {
	for flag, file := range map[string]string{
		"client-ca-file":               o.Authentication.ClientCert.ClientCA,
		"requestheader-client-ca-file": o.Authentication.RequestHeader.ClientCAFile,
	} {
		if file == "" {
			continue
		}
		if err := pki.CheckFile(flag, file, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// ApplyCoreAPI connects the server to the kube-apiserver.
func (o *KubeOptions) ApplyCoreAPI(c *genericapiserver.RecommendedConfig) error {
	err := o.CoreAPI.ApplyTo(c)
	switch {
	case errors.Is(err, rest.ErrNotInCluster):
		return errors.New("--kubeconfig is not set and the server does not run in a pod, so there is no kube-apiserver to extend: set --kubeconfig, or --standalone")
	case err != nil:
		return fmt.Errorf("--kubeconfig: %w", err)
	}
	return nil
}

// ApplyAuth sets the server's authentication and authorization.
func (o *KubeOptions) ApplyAuth(c *genericapiserver.RecommendedConfig) error {
	if err := o.Authentication.ApplyTo(&c.Authentication, c.SecureServing, c.OpenAPIConfig); err != nil {
		return explainAuthReader(err)
	}
	if err := o.Authorization.ApplyTo(&c.Authorization); err != nil {
		return fmt.Errorf("--authorization-kubeconfig: %w", err)
	}
	return nil
}

// explainAuthReader adds a fix to the most common failure of a new installation. The
// generic options wrap errors without preserving their types, so it compares their text.
func explainAuthReader(err error) error {
	if apierrors.IsForbidden(err) || forbiddenText(err) {
		return fmt.Errorf("the kube-apiserver does not allow this server to read ConfigMap kube-system/extension-apiserver-authentication, which identifies the trusted front proxy: bind its service account to Role extension-apiserver-authentication-reader in kube-system, or set --requestheader-client-ca-file and --client-ca-file: %w", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--authentication-kubeconfig: %w", err)
	}
	return fmt.Errorf("authentication: %w", err)
}

func forbiddenText(err error) bool { return strings.Contains(err.Error(), "forbidden") }
