// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Options configures the program.
type Options struct {
	// Identity is the identity of the pod.
	Identity proxyidentity.Identity
	// Operator is the address of the operator, as HOST:PORT or unix:///PATH, and
	// ServerName the name in its certificate.
	Operator, ServerName string
	// CAFile contains the authorities to trust, TokenFile the token that proves the pod's
	// identity.
	CAFile, TokenFile string
	// Dir is the directory for sockets, keys and accepted resources.
	Dir string
	// KeepDir is a directory for accepted resources that survives a reboot; Dir if it is
	// empty. Secrets, which contain private keys, are only stored there with KeepKeys.
	KeepDir  string
	KeepKeys bool
	// Envoy is the path of Envoy. Concurrency is its number of threads, or 0 for one per
	// CPU. EnvoyLogLevel is its log level.
	Envoy         string
	Concurrency   int
	EnvoyLogLevel string
	// BindAddress is the address of probes and metrics, as ADDRESS:PORT or unix:PATH, or
	// empty. ConfigAddress is the address at which the operator reads the configuration,
	// or empty.
	BindAddress, ConfigAddress string
	// DrainDelay is how long Envoy serves normally after the pod starts terminating, for
	// routes to be withdrawn. DrainTimeout is the maximum time for connections after
	// that.
	DrainDelay, DrainTimeout time.Duration
	// Bootstrap returns Envoy's bootstrap configuration. It has a default.
	Bootstrap func(Bootstrap) ([]byte, error)
	// Stdout and Stderr receive Envoy's output.
	Stdout, Stderr io.Writer
}

// DefaultOptions returns options with defaults.
func DefaultOptions() Options {
	return Options{
		EnvoyLogLevel: "warning",
		DrainDelay:    5 * time.Second, DrainTimeout: 180 * time.Second,
		Bootstrap: DefaultBootstrap,
		Stdout:    os.Stdout, Stderr: os.Stderr,
	}
}

// maxSocket is the maximum length of a unix socket path.
const maxSocket = 107

// Validate returns an error if the options are invalid.
func (o *Options) Validate() error {
	errs := []error{o.Identity.Validate()}
	for _, required := range []struct{ flag, value string }{
		{"operator", o.Operator}, {"server-name", o.ServerName}, {"ca-file", o.CAFile}, {"token-file", o.TokenFile},
		{"dir", o.Dir}, {"envoy", o.Envoy},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("--%s is required", required.flag))
		}
	}
	if longest := filepath.Join(o.Dir, agentSocket); len(longest) > maxSocket {
		errs = append(errs, fmt.Errorf("--dir: the path of the socket %s is longer than %d bytes: use a shorter directory", longest, maxSocket))
	}
	if o.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("--concurrency is %d: set 0 or more", o.Concurrency))
	}
	return errors.Join(errs...)
}

// Sockets and files in the directory.
const (
	xdsSocket     = "xds.sock"
	adminSocket   = "admin.sock"
	agentSocket   = "agent.sock"
	bootstrapFile = "bootstrap.json"
	resourcesDir  = "accepted"
	identityDir   = "identity"
)
