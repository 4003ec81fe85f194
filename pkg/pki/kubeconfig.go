// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigName is the name of the cluster, the user and the context.
const kubeconfigName = "epic"

// kubeconfig returns a self-contained kubeconfig, so it can be copied to other machines.
func kubeconfig(server string, ca, cert, key []byte) ([]byte, error) {
	config := api.NewConfig()
	config.Clusters[kubeconfigName] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[AdminUser] = &api.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[kubeconfigName] = &api.Context{Cluster: kubeconfigName, AuthInfo: AdminUser}
	config.CurrentContext = kubeconfigName
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("can't encode the kubeconfig: %w", err)
	}
	return content, nil
}
