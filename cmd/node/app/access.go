// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/credential"
	"github.com/acnodal/epic/pkg/credential/nodeexchange"
	"github.com/acnodal/epic/pkg/node"
)

// firstExchange is how long a start waits for the connector. Without a response, the
// program continues with its last address.
const firstExchange = 10 * time.Second

// connectorOptions configures how a client node gets its credential from its cluster's
// connector.
type connectorOptions struct {
	url, tokenFile, caFile string
}

func (o *connectorOptions) add(fs *pflag.FlagSet) {
	fs.StringVar(&o.url, "connector", "", "URL of the cluster's connector, from which the program gets this node's credential and address instead of --kubeconfig, such as https://epic-connector.epic-connector.svc:7450.")
	fs.StringVar(&o.tokenFile, "connector-token-file", "/etc/epic/token", "File with this pod's token for the connector.")
	fs.StringVar(&o.caFile, "connector-ca-file", "/etc/epic/ca.crt", "File with the CA certificates of the connector.")
}

func (o *connectorOptions) validate(kubeconfig string) error {
	if o.url == "" {
		return nil
	}
	if kubeconfig != "" {
		return errors.New("--connector and --kubeconfig are both set: remove --kubeconfig, because the connector provides it")
	}
	if at, err := url.Parse(o.url); err != nil || at.Scheme != "https" || at.Host == "" {
		return fmt.Errorf("--connector is %q: set a URL that begins with https://", o.url)
	}
	return nil
}

// restConfig returns the client configuration of the API, and the credential if it may
// change.
func (o *options) restConfig() (*rest.Config, *node.Access, error) {
	if o.kubeconfig == "" && os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return nil, nil, errors.New("--kubeconfig is not set: set it to a file with the API's address and this node's credentials")
	}
	if o.kubeconfig == "" {
		// The client reloads the pod's token itself.
		c, err := rest.InClusterConfig()
		if err != nil {
			return nil, nil, fmt.Errorf("--kubeconfig: %w", err)
		}
		return tuned(c), nil, nil
	}
	files := &credential.Files{Paths: []string{o.kubeconfig}, Transport: credential.NewTransport()}
	if err := files.Load(); err != nil {
		return nil, nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	return tuned(files.Transport.Config()), &node.Access{
		Expires: files.Transport.Expires,
		Problem: func() string { return expired(files.Transport.Expires(), time.Now()) },
		Run:     func(ctx context.Context) error { files.Run(ctx); return nil },
	}, nil
}

// expired describes a credential that was not replaced in time.
func expired(expires, now time.Time) string {
	if expires.IsZero() || now.Before(expires) {
		return ""
	}
	return fmt.Sprintf("this node's credential for EPIC's API expired at %s: replace the file of --kubeconfig", expires.UTC().Format(time.RFC3339))
}

func tuned(c *rest.Config) *rest.Config {
	c.UserAgent = program + "/" + buildinfo.Release()
	// Requests follow from watches, and a node that starts requests the keys of all of
	// its tunnels.
	c.QPS, c.Burst = 500, 1000
	c.Timeout = 0
	return c
}

// exchanging sets up a configuration with the connector's credential and the address by
// which EPIC identifies this node.
func (o *options) exchanging(ctx context.Context, c *node.Config, from *connectorOptions) error {
	client := &nodeexchange.Client{URL: from.url, TokenFile: from.tokenFile, CAFile: from.caFile, Transport: credential.NewTransport()}
	if err := connect(c, tuned(client.Transport.Config())); err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, firstExchange)
	defer cancel()
	address, err := client.Exchange(first)
	for err != nil && first.Err() == nil {
		select {
		case <-first.Done():
		case <-time.After(500 * time.Millisecond):
			address, err = client.Exchange(first)
		}
	}
	switch last := node.ClientAddresses(c.StateDir); {
	case err == nil:
		c.Nodes, c.Local = known(address, c.Nodes, c.Local)
	case len(last) > 0:
		klog.FromContext(ctx).Info("The connector does not respond; using the last known address", "addresses", last, "err", err)
		c.Nodes, c.Local = known(last[0], c.Nodes, c.Local)
	default:
		klog.FromContext(ctx).Info("The connector does not respond yet", "addresses", c.Nodes, "err", err)
	}
	c.Access = &node.Access{
		Expires: client.Transport.Expires,
		Problem: func() string { return client.Problem(time.Now()) },
		Run:     func(ctx context.Context) error { return client.Run(ctx, c.Nodes...) },
	}
	return nil
}

// known makes an address the one by which EPIC identifies this node. If this node does
// not have it, something in front of the node translates it to the node's own.
func known(address netip.Addr, own []netip.Addr, local map[netip.Addr]netip.Addr) ([]netip.Addr, map[netip.Addr]netip.Addr) {
	if slices.Contains(own, address) || slices.Contains(interfaceAddresses(), address) {
		return []netip.Addr{address}, local
	}
	if _, given := local[address]; !given {
		for _, a := range own {
			if a.Is4() == address.Is4() {
				local[address] = a
				break
			}
		}
	}
	return []netip.Addr{address}, local
}

func interfaceAddresses() []netip.Addr {
	var out []netip.Addr
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, prefix.Addr().Unmap())
		}
	}
	return out
}
