// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apiserver/options"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/privatefile"
)

const nodeKubeconfigLong = `Make a kubeconfig for the node with that address, for a standalone server.

It is a gateway node's, or with --account that of a tenant's node, which sees the
account's namespace and no other. The certificate in it is valid for a year; the
authority under --data-dir signs it, whose server may run or not. For a server in a
cluster, "epicctl create kubeconfig --node" does this.`

func newNodeKubeconfigCommand() *cobra.Command {
	var dataDir, account, server, file string
	cmd := &cobra.Command{
		Use:     "node-kubeconfig ADDRESS",
		Short:   "Make a node's kubeconfig for a standalone server",
		Long:    nodeKubeconfigLong,
		Example: "  epic-apiserver node-kubeconfig 192.168.1.16 --account=acme --data-dir=.epic/data -f node.kubeconfig",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fmt.Errorf("name the address of one node; there are %d arguments; %q says more", len(args), c.CommandPath()+" --help")
		},
		RunE: func(c *cobra.Command, args []string) error {
			content, err := nodeKubeconfig(dataDir, server, account, args[0])
			if err != nil {
				return err
			}
			if file != "" {
				return privatefile.Write(file, content)
			}
			_, err = c.OutOrStdout().Write(content)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&dataDir, "data-dir", "", "The standalone server's data are in `DIR`")
	fs.StringVar(&server, "server", fmt.Sprintf("https://127.0.0.1:%d", options.DefaultPort), "The node reaches the server at `URL`")
	fs.StringVar(&account, "account", "", "The node is one of this `ACCOUNT`, and no gateway node")
	fs.StringVarP(&file, "file", "f", "", "Write to `FILE`, readable by its owner alone, and not to standard output")
	return cmd
}

func nodeKubeconfig(dataDir, server, account, text string) ([]byte, error) {
	address, err := nodeidentity.ParseAddress(text)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(server, "https://") {
		return nil, fmt.Errorf("--server: %q is no URL of a server: write https://HOST:PORT", server)
	}
	client := pki.Client{User: nodeidentity.UserName(address), Groups: []string{nodeidentity.Group}}
	if account != "" {
		namespace := epic.AccountNamespace(account)
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, fmt.Errorf("--account: %q is no name of an account: %s", account, problems[0])
		}
		client = pki.Client{
			User:      serviceaccount.MakeUsername(namespace, nodeidentity.AccountName(address)),
			Groups:    serviceaccount.MakeGroupNames(namespace),
			Namespace: namespace,
		}
	}
	if dataDir == "" {
		return nil, errors.New("--data-dir: name the data directory of the standalone server, whose authority signs the certificate")
	}
	authority, err := pki.OpenAuthority(pki.Directory(dataDir))
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	return authority.Kubeconfig(server, client)
}
