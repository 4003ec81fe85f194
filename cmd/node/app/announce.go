// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/node"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/statefile"
)

// announceOptions holds the flags for announcements.
type announceOptions struct {
	passwords string
	labels    map[string]string
}

func (o *announceOptions) add(fs *pflag.FlagSet) {
	fs.StringVar(&o.passwords, "bgp-password-dir", "/etc/epic-node/bgp-passwords", "Directory with a file for each BGP peer's password, with the peer's password-name as its name. Files are read again when they change.")
	fs.StringToStringVar(&o.labels, "node-label", nil, "KEY=VALUE label of this node, for the node-selectors of BGP peers. With --cni, labels of the Node object are added.")
}

// announcer returns an announcer for the addresses that a host delivers.
func (o *announceOptions) announcer(config node.Config, network *host.Host, attached *attachments) (*announce.Announcer, error) {
	restarting, err := network.Left()
	if err != nil {
		return nil, fmt.Errorf("list existing routes: %w", err)
	}
	return announce.New(announce.Options{
		Address: config.Nodes[0], Name: config.Name, Passwords: announce.Passwords(o.passwords).Get,
		Delivered: network, Restarting: restarting, Sessions: statefile.File{Path: filepath.Join(config.StateDir, "bfd"), Version: announce.SessionsVersion},
		Labels: func(ctx context.Context) (map[string]string, error) {
			all := map[string]string{}
			if attached != nil {
				this, err := attached.kube.CoreV1().Nodes().Get(ctx, config.Name, metav1.GetOptions{})
				if err != nil {
					return nil, err
				}
				maps.Copy(all, this.Labels)
			}
			maps.Copy(all, o.labels)
			return all, nil
		},
	}), nil
}
