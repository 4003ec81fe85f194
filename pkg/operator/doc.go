// SPDX-License-Identifier: Apache-2.0

// Package operator runs Envoys for load balancers and gateway proxies and configures
// them.
//
//	objects ──▶ feed ──▶ xDS server ──▶ Envoys        every replica
//	   │          │          │
//	   └──────────┴──────────┴──▶ controllers ──▶ runner, status   the leader
//
// Package objects keeps the API's objects, feed translates them, xds serves the result.
// The controllers here only decide what should run, and report; no request of a visitor
// and no change of a configuration waits for them.
package operator
