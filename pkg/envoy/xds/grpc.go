// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// maxRequest limits a request. The largest is the first after a reconnection, with the
// name and version of every resource of a type.
const maxRequest = 8 << 20

// GRPCOptions returns options of a gRPC server for thousands of mostly idle streams from
// clients that may be slow or hostile. The caller adds credentials.
func GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		// Buffers account for most of the memory of an idle connection.
		grpc.ReadBufferSize(2 << 10),
		grpc.WriteBufferSize(8 << 10),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxConcurrentStreams(8),
		grpc.ConnectionTimeout(20 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			// A connection without a stream was used to request a certificate.
			MaxConnectionIdle: 5 * time.Minute,
			Time:              30 * time.Second,
			Timeout:           20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
	}
}
