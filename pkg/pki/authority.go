// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Directory returns the directory of the certificates in a server's data directory.
func Directory(dataDir string) string { return filepath.Join(dataDir, "pki") }

// Authority is the authority of a standalone server, whether or not the server runs.
type Authority struct {
	dir string
	ca  *issued
}

// OpenAuthority reads the authority that a server created in a directory. It does not
// create one, which no server would trust.
func OpenAuthority(dir string) (*Authority, error) {
	ca, err := load(pairIn(dir, "ca"))
	if err != nil {
		return nil, fmt.Errorf("can't read the authority in %s: %w", dir, err)
	}
	if ca == nil {
		return nil, fmt.Errorf("%s has no certificate authority: set --data-dir to that of a standalone server that was started before", dir)
	}
	return &Authority{dir: dir, ca: ca}, nil
}

// Client is the user of a kubeconfig.
type Client struct {
	// User and Groups are the identity that the server sees.
	User   string
	Groups []string
	// Namespace is kubectl's default namespace, or empty.
	Namespace string
}

// Kubeconfig signs a client certificate for a year and returns a kubeconfig with it for
// the server at that URL.
func (a *Authority) Kubeconfig(server string, c Client) ([]byte, error) {
	if server == "" || c.User == "" {
		return nil, errors.New("a kubeconfig needs the URL of a server and the name of a user")
	}
	client, err := issue(clientTemplate(c.User, c.Groups...), a.ca, time.Now(), certificateLife)
	if err != nil {
		return nil, err
	}
	config := api.NewConfig()
	config.Clusters[kubeconfigName] = &api.Cluster{Server: server, CertificateAuthorityData: a.ca.certPEM}
	config.AuthInfos[c.User] = &api.AuthInfo{ClientCertificateData: client.certPEM, ClientKeyData: client.keyPEM}
	config.Contexts[kubeconfigName] = &api.Context{Cluster: kubeconfigName, AuthInfo: c.User, Namespace: c.Namespace}
	config.CurrentContext = kubeconfigName
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("can't encode the kubeconfig: %w", err)
	}
	return content, nil
}
