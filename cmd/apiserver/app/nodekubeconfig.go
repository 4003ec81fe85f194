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

const nodeKubeconfigLong = `Create a kubeconfig for the node with that address, for a standalone server.

It is for a gateway node or, with --account, for a client node of that account, which
can only access the account's namespace. The certificate in it is valid for a year and
signed by the authority in --data-dir. The server does not need to be running. For a
server in a cluster, use "epicctl create kubeconfig --node".`

func newNodeKubeconfigCommand() *cobra.Command {
	var dataDir, account, server, file string
	cmd := &cobra.Command{
		Use:     "node-kubeconfig ADDRESS",
		Short:   "Create a node's kubeconfig for a standalone server",
		Long:    nodeKubeconfigLong,
		Example: "  epic-apiserver node-kubeconfig 192.168.1.16 --account=acme --data-dir=.epic/data -f node.kubeconfig",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fmt.Errorf("specify the address of one node, not %d arguments; see %q", len(args), c.CommandPath()+" --help")
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
	fs.StringVar(&dataDir, "data-dir", "", "Data directory `DIR` of the standalone server")
	fs.StringVar(&server, "server", fmt.Sprintf("https://127.0.0.1:%d", options.DefaultPort), "`URL` at which the node reaches the server")
	fs.StringVar(&account, "account", "", "Create credentials for a client node of this `ACCOUNT`, not for a gateway node")
	fs.StringVarP(&file, "file", "f", "", "Write to `FILE`, which only its owner can read, instead of standard output")
	return cmd
}

func nodeKubeconfig(dataDir, server, account, text string) ([]byte, error) {
	address, err := nodeidentity.ParseAddress(text)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(server, "https://") {
		return nil, fmt.Errorf("--server: %q is not the URL of a server: write https://HOST:PORT", server)
	}
	client := pki.Client{User: nodeidentity.UserName(address), Groups: []string{nodeidentity.Group}}
	if account != "" {
		namespace := epic.AccountNamespace(account)
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, fmt.Errorf("--account: %q is not the name of an account: %s", account, problems[0])
		}
		client = pki.Client{
			User:      serviceaccount.MakeUsername(namespace, nodeidentity.AccountName(address)),
			Groups:    serviceaccount.MakeGroupNames(namespace),
			Namespace: namespace,
		}
	}
	if dataDir == "" {
		return nil, errors.New("--data-dir is not set: set it to the data directory of the standalone server, whose authority signs the certificate")
	}
	authority, err := pki.OpenAuthority(pki.Directory(dataDir))
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	return authority.Kubeconfig(server, client)
}
