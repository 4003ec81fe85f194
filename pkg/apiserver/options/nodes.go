// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// tunnelKeyName is the name of the file with the master keys that a standalone server
// creates in its data directory.
const tunnelKeyName = "tunnel-keys"

// NodeOptions configures how nodes are identified, and where the master keys of their
// tunnels are.
type NodeOptions struct {
	// TunnelKeyFile is the file with the master keys, or empty.
	TunnelKeyFile string
	// TunnelKeyRotation is the age at which a standalone server replaces the master key
	// that it created; 0 for never.
	TunnelKeyRotation time.Duration
	// GatewayAccounts lists the service accounts of the gateway's node program, each as
	// NAMESPACE/NAME.
	GatewayAccounts []string
}

// NewNodeOptions returns the defaults, which are the names in the manifests.
func NewNodeOptions() *NodeOptions {
	return &NodeOptions{TunnelKeyRotation: 90 * 24 * time.Hour, GatewayAccounts: []string{"epic-node/epic-node"}}
}

// AddFlags adds the flags.
func (o *NodeOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TunnelKeyFile, "tunnel-key-file", o.TunnelKeyFile, "Derive tunnel keys from the master keys in `FILE`, which is read again when it changes")
	fs.DurationVar(&o.TunnelKeyRotation, "tunnel-key-rotation", o.TunnelKeyRotation, "Replace the master key that a standalone server made when it has this age; 0 for never")
	fs.StringSliceVar(&o.GatewayAccounts, "gateway-node-accounts", o.GatewayAccounts, "Service `ACCOUNTS` of the gateway node program, as NAMESPACE/NAME")
}

// Validate checks the values.
func (o *NodeOptions) Validate() []error {
	var errs []error
	if o.TunnelKeyRotation != 0 && o.TunnelKeyRotation < tunnelkey.MinRotation {
		errs = append(errs, fmt.Errorf("--tunnel-key-rotation=%s: set at least %s, or 0 for never", o.TunnelKeyRotation, tunnelkey.MinRotation))
	}
	for _, account := range o.GatewayAccounts {
		namespace, name, _ := strings.Cut(account, "/")
		if _, _, err := serviceaccount.SplitUsername(serviceaccount.MakeUsername(namespace, name)); err != nil {
			errs = append(errs, fmt.Errorf("--gateway-node-accounts: %q is not a service account: write NAMESPACE/NAME, such as epic-node/epic-node", account))
		}
	}
	return errs
}

// Rotation returns the age at which the server replaces its master key, or 0 for a key
// that the server did not create.
func (o *NodeOptions) Rotation(standalone bool) time.Duration {
	if o.TunnelKeyFile != "" || !standalone {
		return 0
	}
	return o.TunnelKeyRotation
}

// Identifier returns an Identifier that distinguishes nodes from other users.
func (o *NodeOptions) Identifier() *nodeidentity.Identifier {
	i := &nodeidentity.Identifier{}
	for _, account := range o.GatewayAccounts {
		namespace, name, _ := strings.Cut(account, "/")
		i.GatewayAccounts = append(i.GatewayAccounts, serviceaccount.MakeUsername(namespace, name))
	}
	return i
}

// OpenKeys reads the master keys. A standalone server creates them if no file is named.
// OpenKeys returns nil if there is no file to read.
func (o *NodeOptions) OpenKeys(ctx context.Context, standalone bool, dataDir string) (*tunnelkey.File, error) {
	if o.TunnelKeyFile == "" && !standalone {
		return nil, nil
	}
	path := o.TunnelKeyFile
	if path == "" {
		path = filepath.Join(dataDir, tunnelKeyName)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := privatefile.Write(path, tunnelkey.Generate()); err != nil {
				return nil, fmt.Errorf("--data-dir: %w", err)
			}
		}
	}
	return tunnelkey.Open(ctx, path)
}
