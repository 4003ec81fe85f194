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

// Options are the options of the program.
type Options struct {
	// Identity is which pod this is.
	Identity proxyidentity.Identity
	// Operator is where the operator is, as HOST:PORT or unix:///PATH, and ServerName
	// the name in its certificate.
	Operator, ServerName string
	// CAFile has the authorities to trust, TokenFile what proves who the pod is.
	CAFile, TokenFile string
	// Dir is a folder for sockets, keys and accepted resources.
	Dir string
	// KeepDir is a folder for accepted resources that outlives a reboot; Dir if it is
	// empty. Secrets, which have private keys, are kept there only with KeepKeys.
	KeepDir  string
	KeepKeys bool
	// Envoy is the path of Envoy. Concurrency is how many threads it has, or 0 for one a
	// CPU. EnvoyLogLevel is its log level.
	Envoy         string
	Concurrency   int
	EnvoyLogLevel string
	// BindAddress is where probes and metrics are served, as ADDRESS:PORT or unix:PATH,
	// or empty. ConfigAddress is where the operator reads the configuration, or empty.
	BindAddress, ConfigAddress string
	// DrainDelay is how long Envoy serves as usual after the pod is told to end, for
	// routes to be withdrawn. DrainTimeout is how long connections may last after that.
	DrainDelay, DrainTimeout time.Duration
	// Bootstrap makes Envoy's first configuration. It is set by default.
	Bootstrap func(Bootstrap) ([]byte, error)
	// Stdout and Stderr are Envoy's.
	Stdout, Stderr io.Writer
}

// DefaultOptions returns the options that have defaults.
func DefaultOptions() Options {
	return Options{
		EnvoyLogLevel: "warning",
		DrainDelay:    5 * time.Second, DrainTimeout: 180 * time.Second,
		Bootstrap: DefaultBootstrap,
		Stdout:    os.Stdout, Stderr: os.Stderr,
	}
}

// maxSocket is how long the path of a unix socket may be.
const maxSocket = 107

// Validate returns what is wrong with the options.
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

// The sockets and files in the folder.
const (
	xdsSocket     = "xds.sock"
	adminSocket   = "admin.sock"
	agentSocket   = "agent.sock"
	bootstrapFile = "bootstrap.json"
	resourcesDir  = "accepted"
	identityDir   = "identity"
)
