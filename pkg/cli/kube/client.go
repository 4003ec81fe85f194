// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Client configures the connection to an API server.
type Client struct {
	Kubeconfig string
	QPS        float32
	Burst      int
}

// AddFlags adds the flags. In their help texts, server names the API server, and to,
// which may be empty, names the destination of the rate-limited requests.
func (c *Client) AddFlags(fs *pflag.FlagSet, server, to string) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig, "Kubeconfig of "+server+". Default: the environment variable KUBECONFIG, the home directory's kubeconfig, or this pod's service account.")
	fs.Float32Var(&c.QPS, "kube-api-qps", c.QPS, "Maximum number of requests a second"+to+"; -1 for no limit.")
	fs.IntVar(&c.Burst, "kube-api-burst", c.Burst, "Maximum burst of requests"+to+".")
}

// Validate checks the flags together.
func (c *Client) Validate() error {
	if c.QPS == 0 || c.QPS > 0 && c.Burst < 1 {
		return fmt.Errorf("--kube-api-qps=%v and --kube-api-burst=%d allow no request: set higher values, or --kube-api-qps=-1 for no limit", c.QPS, c.Burst)
	}
	return nil
}

// Load returns the client configuration for the API server, and the namespace of the
// context. Without a kubeconfig, the server is determined as described in the help of
// --kubeconfig.
func (c *Client) Load(program string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", err
	}
	config = rest.AddUserAgent(config, program)
	config.QPS, config.Burst = c.QPS, c.Burst
	return config, namespace, nil
}
