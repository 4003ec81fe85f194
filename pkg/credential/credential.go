// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Credential is what a kubeconfig has about the server of its current context.
type Credential struct {
	// Config reaches the server with the credential.
	Config *rest.Config
	// Namespace goes with the context.
	Namespace string
	// Issued and Expires bound the validity of a token or a client certificate. Both are
	// zero if they are not known: for a password, or a program that makes tokens.
	Issued, Expires time.Time
	// User is the name of the user in a token, such as system:serviceaccount:NS:NAME. Only
	// the server verifies it. Empty if it is not known.
	User string

	raw clientcmdapi.Config
}

// Parse reads a kubeconfig. Paths in it are relative to dir.
func Parse(kubeconfig []byte, dir string) (*Credential, error) {
	raw, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, err
	}
	for _, cluster := range raw.Clusters {
		cluster.LocationOfOrigin = filepath.Join(dir, "kubeconfig")
	}
	for _, user := range raw.AuthInfos {
		user.LocationOfOrigin = filepath.Join(dir, "kubeconfig")
	}
	if err := clientcmd.ResolveLocalPaths(raw); err != nil {
		return nil, err
	}
	loader := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	c := &Credential{Config: config, Namespace: namespace, raw: *raw}
	c.read()
	return c, nil
}

// read finds out how long the credential is valid, and whose it is.
func (c *Credential) read() {
	token := c.Config.BearerToken
	if c.Config.BearerTokenFile != "" {
		if data, err := os.ReadFile(c.Config.BearerTokenFile); err == nil {
			token = strings.TrimSpace(string(data))
		}
	}
	if token != "" {
		c.User, c.Issued, c.Expires = claimsOf(token)
		return
	}
	data := c.Config.CertData
	if len(data) == 0 && c.Config.CertFile != "" {
		data, _ = os.ReadFile(c.Config.CertFile)
	}
	if block, _ := pem.Decode(data); block != nil {
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
			c.Issued, c.Expires = leaf.NotBefore, leaf.NotAfter
		}
	}
}

// claimsOf returns the claims of a JSON web token, zero values for those that it does not
// have or if it can't be decoded.
func claimsOf(token string) (user string, issued, expires time.Time) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", issued, expires
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", issued, expires
	}
	var claims struct {
		Subject string  `json:"sub"`
		Issued  float64 `json:"iat"`
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", issued, expires
	}
	at := func(seconds float64) time.Time {
		if seconds < 1 || seconds > 1e12 {
			return time.Time{}
		}
		return time.Unix(int64(seconds), 0)
	}
	return claims.Subject, at(claims.Issued), at(claims.Expires)
}

// WithToken is a kubeconfig that is the same but for its user, which has a token.
func (c *Credential) WithToken(token string) ([]byte, error) {
	return c.ForUser(c.raw.Contexts[c.raw.CurrentContext].AuthInfo, token)
}

// ForUser is a kubeconfig for the same server and namespace and another user's token.
func (c *Credential) ForUser(user, token string) ([]byte, error) {
	const name = "epic"
	now := c.raw.Contexts[c.raw.CurrentContext]
	cluster := c.raw.Clusters[now.Cluster].DeepCopy()
	cluster.LocationOfOrigin = ""
	if len(cluster.CertificateAuthorityData) == 0 && cluster.CertificateAuthority != "" {
		// A path means nothing elsewhere.
		data, err := os.ReadFile(cluster.CertificateAuthority)
		if err != nil {
			return nil, err
		}
		cluster.CertificateAuthorityData = data
	}
	cluster.CertificateAuthority = ""
	out := clientcmdapi.NewConfig()
	out.Clusters[name] = cluster
	out.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token}
	out.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user, Namespace: c.Namespace}
	out.CurrentContext = name
	return clientcmd.Write(*out)
}

// valid reports whether the credential is one at this time, as far as it is known.
func (c *Credential) valid(now time.Time) bool { return c.Expires.IsZero() || now.Before(c.Expires) }

// better reports whether c must be used rather than other: one that is valid, and of two
// such the one that was issued later.
func (c *Credential) better(other *Credential, now time.Time) bool {
	if other == nil {
		return true
	}
	if v := c.valid(now); v != other.valid(now) {
		return v
	}
	return c.Issued.After(other.Issued)
}
