// SPDX-License-Identifier: Apache-2.0

// Package exchange is the wire format of the call with which a proxy's pod exchanges a
// token for a certificate: one gRPC method with JSON messages, so the pod's program does
// not depend on Kubernetes.
package exchange

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

const (
	service = "epic.proxy.v1.Identity"
	method  = "Sign"
	// codecName is the gRPC content subtype of the messages.
	codecName = "epic+json"
)

// Request requests a certificate.
type Request struct {
	// Token proves the sender's identity. It may be empty for a renewal by a process that
	// presents its certificate.
	Token string `json:"token,omitempty"`
	// Namespace and Pod are the identity that the pod claims. A token of another pod is
	// rejected.
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	// CSR is a certificate request in DER. Only its key is used.
	CSR []byte `json:"csr"`
}

// Response contains a certificate.
type Response struct {
	// Certificate is in PEM.
	Certificate []byte `json:"certificate"`
	// CA has the authorities to trust, in PEM.
	CA []byte `json:"ca"`
}

// Signer is the server's side.
type Signer interface {
	Sign(context.Context, *Request) (*Response, error)
}

// Register adds a Signer to a gRPC server.
func Register(r grpc.ServiceRegistrar, s Signer) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*Signer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: method, Handler: handle}},
	}, s)
}

func handle(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC defines the order
	signer, ok := server.(Signer)
	if !ok {
		return nil, fmt.Errorf("%T is not a signer", server)
	}
	request := &Request{}
	if err := decode(request); err != nil {
		return nil, err
	}
	if intercept == nil {
		return signer.Sign(ctx, request)
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{Server: server, FullMethod: "/" + service + "/" + method},
		func(ctx context.Context, _ any) (any, error) { return signer.Sign(ctx, request) })
}

// Sign calls the operator.
func Sign(ctx context.Context, c grpc.ClientConnInterface, r *Request) (*Response, error) {
	response := &Response{}
	if err := c.Invoke(ctx, "/"+service+"/"+method, r, response, grpc.CallContentSubtype(codecName)); err != nil {
		return nil, err
	}
	return response, nil
}

// codec encodes messages in JSON.
type codec struct{}

func init() { encoding.RegisterCodec(codec{}) }

// Name implements encoding.Codec.
func (codec) Name() string { return codecName }

// Marshal implements encoding.Codec.
func (codec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements encoding.Codec.
func (codec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
