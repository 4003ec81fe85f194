// SPDX-License-Identifier: Apache-2.0

// Package operator runs Envoys for load balancers and gateway proxies and configures
// them.
//
//	objects ──▶ feed ──▶ xDS server ──▶ Envoys        every replica
//	   │          │          │
//	   └──────────┴──────────┴──▶ controllers ──▶ runner, status   the leader
//
// Package objects caches the API's objects, feed translates them, and xds serves the
// result. The controllers in this package only decide what should run, and report the
// status; neither requests of visitors nor configuration changes wait for them.
package operator
