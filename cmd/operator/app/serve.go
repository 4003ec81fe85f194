// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

const (
	// pingAfter is the idle time after which a proxy is pinged, and pingTimeout the time
	// limit for its response.
	pingAfter, pingTimeout = 20 * time.Second, 10 * time.Second
	// maxRequest limits a message of a proxy, which lists its resources.
	maxRequest = 16 << 20
	// goodbye is how long streams have to end: proxies connect to another replica.
	goodbye = 2 * time.Second
)

type listener = net.Listener

// serve serves proxies until ctx ends.
func serve(ctx context.Context, l listener, c *issuer.Credentials, a issuer.Authenticator, server *xds.Server) error {
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(c.ServerTLS())),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingTimeout, PermitWithoutStream: true}),
	)
	exchange.Register(s, issuer.New(a, c))
	server.Register(s)
	klog.FromContext(ctx).Info("Serving proxies", "address", l.Addr().String())
	stop := context.AfterFunc(ctx, func() {
		hard := time.AfterFunc(goodbye, s.Stop)
		defer hard.Stop()
		s.GracefulStop()
	})
	defer stop()
	return s.Serve(l)
}
