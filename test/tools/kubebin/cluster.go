// SPDX-License-Identifier: Apache-2.0

package kubebin

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// EtcdArgs are the arguments of a test's etcd, by the URLs for its clients and its peers. Its
// data do not survive a power cut.
func EtcdArgs(folder, url, peer string) []string {
	return []string{
		"--data-dir", folder, "--unsafe-no-fsync", "--log-level=error", "--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
	}
}

// GatewayAPI are the manifests of the Gateway API's kinds, of its experimental channel. The root
// is the project's.
func GatewayAPI(ctx context.Context, root string) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find the Gateway API's module: %w", err)
	}
	all, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "config/crd/experimental/gateway.networking.k8s.io_*s.yaml"))
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, file := range all {
		if !strings.Contains(file, "vap_") {
			kinds = append(kinds, file)
		}
	}
	return kinds, nil
}

// WriteKubeconfig writes a kubeconfig for a server, with a token and a namespace.
func WriteKubeconfig(path, server string, authority []byte, namespace, token string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: namespace}
	config.CurrentContext = "c"
	return clientcmd.WriteToFile(*config, path)
}
