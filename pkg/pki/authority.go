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

// Directory is where the certificates are under a server's data directory.
func Directory(dataDir string) string { return filepath.Join(dataDir, "pki") }

// Authority is the authority of a standalone server, by itself. The server may
// run or not.
type Authority struct {
	dir string
	ca  *issued
}

// OpenAuthority reads the authority that a server made in a directory. It makes
// none: nobody would trust what that signs.
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

// Client is who a kubeconfig is for.
type Client struct {
	// User and Groups are what the server sees.
	User   string
	Groups []string
	// Namespace is where kubectl looks by default, or empty.
	Namespace string
}

// Kubeconfig signs a client certificate for a year and puts it into a kubeconfig
// for the server at that URL.
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
