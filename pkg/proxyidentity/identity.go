// SPDX-License-Identifier: Apache-2.0

// Package proxyidentity defines the identity of a proxy's pod: the load balancer or
// gateway proxy to which it belongs, and which of its pods it is. A pod proves its
// identity with a certificate whose only URI is the identity.
package proxyidentity

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	scheme = "spiffe"
	// TrustDomain is the trust domain of EPIC's own certificates.
	TrustDomain = "epic"
	// operatorPath is the path of the operator's identity.
	operatorPath = "/operator"
	// maxPart limits each part of an identity; Kubernetes names have at most 253
	// characters.
	maxPart = 253
)

// Kinds of objects that have proxies.
const (
	LoadBalancer = "LoadBalancer"
	GWProxy      = "GWProxy"
)

// Proxy identifies the object to which a proxy belongs.
type Proxy struct {
	Namespace string
	// Kind is LoadBalancer or GWProxy.
	Kind string
	Name string
}

// String returns the proxy as KIND NAMESPACE/NAME.
func (p Proxy) String() string { return p.Kind + " " + p.Namespace + "/" + p.Name }

// Identity is the identity of one pod of a proxy.
type Identity struct {
	Proxy
	// Pod is the name of the pod, or of the process without Kubernetes.
	Pod string
}

// String returns the identity as KIND NAMESPACE/NAME POD.
func (i Identity) String() string { return i.Proxy.String() + " " + i.Pod }

// Validate returns an error if the identity can't be in a certificate.
func (i Identity) Validate() error {
	if i.Kind != LoadBalancer && i.Kind != GWProxy {
		return fmt.Errorf("the kind of a proxy must be %s or %s, not %.64q", LoadBalancer, GWProxy, i.Kind)
	}
	for _, part := range []struct{ what, value string }{{"namespace", i.Namespace}, {"name", i.Name}, {"pod", i.Pod}} {
		if err := validatePart(part.value); err != nil {
			return fmt.Errorf("the %s of a proxy %w", part.what, err)
		}
	}
	return nil
}

// validatePart accepts what Kubernetes accepts as a name, except characters with a
// meaning in paths.
func validatePart(s string) error {
	if s == "" || len(s) > maxPart {
		return fmt.Errorf("has 1 to %d characters", maxPart)
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return fmt.Errorf("has lowercase letters, digits, '-' and '.' only: %.64q", s)
		}
	}
	if strings.Trim(s, ".") == "" {
		return fmt.Errorf("is not %q", s)
	}
	return nil
}

// URI returns the identity as a SPIFFE ID: spiffe://epic/NAMESPACE/KIND/NAME/POD.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: TrustDomain, Path: "/" + strings.Join([]string{i.Namespace, i.Kind, i.Name, i.Pod}, "/")}
}

// OperatorURI returns the SPIFFE ID of the operator.
func OperatorURI() *url.URL {
	return &url.URL{Scheme: scheme, Host: TrustDomain, Path: operatorPath}
}

// IsOperator reports whether a URI is the operator's SPIFFE ID.
func IsOperator(u *url.URL) bool { return u.String() == OperatorURI().String() }

// Parse parses a SPIFFE ID in the form returned by URI, and no other form.
func Parse(u *url.URL) (Identity, error) {
	if u == nil || u.Scheme != scheme || u.Host != TrustDomain {
		return Identity{}, errors.New("it is not below spiffe://" + TrustDomain)
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) != 5 || parts[0] != "" {
		return Identity{}, errors.New("it is not of the form spiffe://" + TrustDomain + "/NAMESPACE/KIND/NAME/POD")
	}
	i := Identity{Proxy: Proxy{Namespace: parts[1], Kind: parts[2], Name: parts[3]}, Pod: parts[4]}
	if err := i.Validate(); err != nil {
		return Identity{}, err
	}
	if u.String() != i.URI().String() {
		return Identity{}, errors.New("it has more than a path")
	}
	return i, nil
}
