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

// Credential is the content of a kubeconfig for the server of its current context.
type Credential struct {
	// Config is the client configuration with the credential.
	Config *rest.Config
	// Namespace is the namespace of the context.
	Namespace string
	// Issued and Expires are the validity of a token or a client certificate. Both are
	// zero if unknown: for a password, or a program that issues tokens.
	Issued, Expires time.Time
	// User is the name of the user in a token, such as system:serviceaccount:NS:NAME.
	// Only the server verifies it. It is empty if unknown.
	User string

	raw clientcmdapi.Config
}

// Parse parses a kubeconfig. Paths in it are relative to dir.
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

// read determines the validity and the user of the credential.
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

// claimsOf returns the claims of a JSON web token, or zero values for missing ones or if
// it can't be decoded.
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

// WithToken returns the same kubeconfig with a token as the user's credential.
func (c *Credential) WithToken(token string) ([]byte, error) {
	return c.ForUser(c.raw.Contexts[c.raw.CurrentContext].AuthInfo, token)
}

// ForUser returns a kubeconfig for the same server and namespace and another user's
// token.
func (c *Credential) ForUser(user, token string) ([]byte, error) {
	const name = "epic"
	now := c.raw.Contexts[c.raw.CurrentContext]
	cluster := c.raw.Clusters[now.Cluster].DeepCopy()
	cluster.LocationOfOrigin = ""
	if len(cluster.CertificateAuthorityData) == 0 && cluster.CertificateAuthority != "" {
		// A path is not valid on another machine.
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

// valid reports whether the credential is valid at this time, as far as is known.
func (c *Credential) valid(now time.Time) bool { return c.Expires.IsZero() || now.Before(c.Expires) }

// better reports whether c must be used instead of other: a valid one, and of two valid
// ones the one that was issued later.
func (c *Credential) better(other *Credential, now time.Time) bool {
	if other == nil {
		return true
	}
	if v := c.valid(now); v != other.valid(now) {
		return v
	}
	return c.Issued.After(other.Issued)
}
