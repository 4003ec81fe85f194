// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/pki"
)

// Names of the Secrets, which the manifests mount.
const (
	servingAuthority = "epic-ca"
	servingTLS       = "epic-apiserver-tls"
	etcdAuthority    = "epic-etcd-ca"
	etcdServerTLS    = "epic-etcd-server-tls"
	etcdPeerTLS      = "epic-etcd-peer-tls"
	etcdClientTLS    = "epic-apiserver-etcd-tls"
)

// certificate is a Secret with a certificate, and its signer.
type certificate struct {
	secret, authority string
	leaf              pki.Leaf
}

// certificates returns those of an installation with the given number of etcd members.
func certificates(namespace string, members int) []certificate {
	service := "epic-apiserver"
	all := []certificate{{servingTLS, servingAuthority, pki.Leaf{
		CommonName: service, Server: true,
		Names: []string{service + "." + namespace + ".svc", service + "." + namespace, service},
	}}}
	if members == 0 {
		return all
	}
	var names []string
	for i := range members {
		names = append(names, fmt.Sprintf("epic-etcd-%d.epic-etcd.%s.svc", i, namespace))
	}
	return append(all,
		certificate{etcdServerTLS, etcdAuthority, pki.Leaf{CommonName: "epic-etcd-server", Names: append(names[:members:members], "localhost"), Server: true, Client: true}},
		certificate{etcdPeerTLS, etcdAuthority, pki.Leaf{CommonName: "epic-etcd-peer", Names: names, Server: true, Client: true}},
		certificate{etcdClientTLS, etcdAuthority, pki.Leaf{CommonName: "epic-apiserver", Client: true}},
	)
}

// ensureCertificates creates and renews the certificates, and returns the certificate of
// the authority that signs the API server's.
func (s *Setup) ensureCertificates(ctx context.Context, now time.Time) (bundle []byte, err error) {
	authorities := map[string]map[string][]byte{}
	for _, c := range certificates(s.Namespace, s.EtcdMembers) {
		if authorities[c.authority] == nil {
			authorities[c.authority], err = s.ensureSecret(ctx, c.authority, corev1.SecretTypeTLS, func(data map[string][]byte) (map[string][]byte, bool, error) {
				return pki.EnsureAuthority(data, c.authority, now)
			})
			if err != nil {
				return nil, err
			}
		}
		if _, err := s.ensureSecret(ctx, c.secret, corev1.SecretTypeTLS, func(data map[string][]byte) (map[string][]byte, bool, error) {
			return pki.EnsureLeaf(data, authorities[c.authority], c.leaf, now)
		}); err != nil {
			return nil, err
		}
	}
	return authorities[servingAuthority][corev1.TLSCertKey], nil
}

// ensureSecret writes the result of ensure for a Secret's data, if that differs. If
// another program writes at the same time, it fails, and the next attempt reads the
// other's result.
func (s *Setup) ensureSecret(ctx context.Context, name string, kind corev1.SecretType, ensure func(map[string][]byte) (map[string][]byte, bool, error)) (map[string][]byte, error) {
	client := s.Kube.CoreV1().Secrets(s.Namespace)
	secret, err := client.Get(ctx, name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("read secret %s/%s: %w", s.Namespace, name, err)
	}
	if missing {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}, Type: kind}
	}
	data, changed, err := ensure(secret.Data)
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", s.Namespace, name, err)
	}
	if !changed {
		return data, nil
	}
	secret.Data = data
	if missing {
		_, err = client.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		_, err = client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return nil, fmt.Errorf("write secret %s/%s: %w", s.Namespace, name, err)
	}
	klog.FromContext(ctx).Info("Wrote a Secret", "secret", klog.KRef(s.Namespace, name))
	return data, nil
}
