// SPDX-License-Identifier: Apache-2.0

package kubebin

import (
	"path/filepath"

	"github.com/acnodal/epic/pkg/pki"
)

// ServerArgs returns the arguments of every kube-apiserver of a test, except those of its etcd.
// The server listens on a loopback address, authorizes by RBAC, and proxies requests to
// aggregated servers as the administrator of the authority front. Its files are in a directory.
func ServerArgs(own, front *pki.Store, folder, port string) []string {
	cert, key := own.ServingFiles()
	frontFolder := filepath.Dir(front.CAFile())
	return []string{
		"--bind-address=127.0.0.1", "--secure-port", port, "--endpoint-reconciler-type=none",
		"--tls-cert-file", cert, "--tls-private-key-file", key, "--cert-dir", folder, "--client-ca-file", own.CAFile(), "--authorization-mode=RBAC",
		"--requestheader-client-ca-file", front.CAFile(), "--requestheader-allowed-names", pki.AdminUser,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-uid-headers=X-Remote-Uid", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file", filepath.Join(frontFolder, "admin.crt"), "--proxy-client-key-file", filepath.Join(frontFolder, "admin.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range=192.0.2.0/24",
	}
}
