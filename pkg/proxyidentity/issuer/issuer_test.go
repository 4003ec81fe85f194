// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
)

// operator is a server as the operator runs it.
type operator struct {
	address string
	secrets *Secrets
	creds   *Credentials
	server  *xds.Server
}

func startOperator(t *testing.T) *operator {
	t.Helper()
	authority, err := pki.NewProxyAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := NewCredentials(authority, []string{"operator.test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{secrets: NewSecrets(), creds: creds, server: xds.NewServer(xds.Options{Identify: creds.Identify})}
	g := grpc.NewServer(append(xds.GRPCOptions(), grpc.Creds(credentials.NewTLS(creds.ServerTLS())))...)
	o.server.Register(g)
	exchange.Register(g, New(o.secrets, creds))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = l.Addr().String()
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return o
}

func (o *operator) dial(t *testing.T, certificate *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{RootCAs: o.creds.Authority().Pool(), ServerName: "operator.test", MinVersion: tls.VersionTLS13}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	c, err := grpc.NewClient(o.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// sign has a certificate signed over a connection.
func sign(ctx context.Context, c *grpc.ClientConn, token string, id proxyidentity.Identity) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	r, err := exchange.Sign(ctx, c, &exchange.Request{Token: token, Namespace: id.Namespace, Pod: id.Pod, CSR: csr})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(r.Certificate)
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}

func TestSign(t *testing.T) {
	o := startOperator(t)
	web := process("web")
	secret := o.secrets.Issue(web)
	bare := o.dial(t, nil)
	certificate, err := sign(t.Context(), bare, secret, web)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign(t.Context(), bare, secret, web); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "used before") {
		t.Errorf("the secret is good twice: %v", err)
	}
	again, err := sign(t.Context(), o.dial(t, certificate), "", web)
	if err != nil {
		t.Fatalf("renewal: %v", err)
	}
	if _, err := exchange.Sign(t.Context(), bare, &exchange.Request{Token: o.secrets.Issue(web), Namespace: web.Namespace, Pod: web.Pod, CSR: []byte("x")}); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "certificate request") {
		t.Errorf("a bad certificate request: %v", err)
	}

	// The identity of a stream is the certificate's, whatever node the client claims.
	for _, p := range []proxyidentity.Identity{web, process("other")} {
		r, err := resource.New(resource.Cluster, "of-"+p.Name, &clusterv3.Cluster{Name: "of-" + p.Name})
		if err != nil {
			t.Fatal(err)
		}
		set := resource.Set{}
		if err := set.Add(r); err != nil {
			t.Fatal(err)
		}
		o.server.Set(p.Proxy, xds.Config{Resources: set}, 0)
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(o.dial(t, again)).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Id: "epic-a/GWProxy/other/other-0", Cluster: "other"}, TypeUrl: resource.Cluster.URL(),
		ResourceNamesSubscribe: []string{"*", "of-other"},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || len(got.Resources) != 1 || got.Resources[0].Name != "of-web" {
		t.Errorf("the stream of web gets %v, %v", got, err)
	}
	anonymous, err := discoveryv3.NewAggregatedDiscoveryServiceClient(bare).DeltaAggregatedResources(t.Context())
	if err == nil {
		_, err = anonymous.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream without a certificate: %v", err)
	}
	// A certificate of another authority does not get through the handshake.
	stranger := startOperator(t)
	foreign, err := sign(t.Context(), stranger.dial(t, nil), stranger.secrets.Issue(web), web)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign(t.Context(), o.dial(t, foreign), o.secrets.Issue(web), web); err == nil {
		t.Error("a certificate of another authority is taken")
	}
}

// A pod's own server is trusted only if it shows that pod's certificate, and the
// operator's certificate is not taken for one.
func TestClientTLS(t *testing.T) {
	o := startOperator(t)
	web := process("web")
	certificate, err := sign(t.Context(), o.dial(t, nil), o.secrets.Issue(web), web)
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := o.creds.current()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		shown *tls.Certificate
		want  proxyidentity.Identity
		ok    bool
	}{
		"the pod":      {certificate, web, true},
		"another pod":  {certificate, process("other"), false},
		"the operator": {own, web, false},
	} {
		client, server := net.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- tls.Server(server, &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*test.shown},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: o.creds.Authority().Pool(),
			}).Handshake()
			server.Close()
		}()
		err := tls.Client(client, o.creds.ClientTLS(test.want)).HandshakeContext(t.Context())
		client.Close()
		<-done
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
