// SPDX-License-Identifier: Apache-2.0

// Package processes runs proxies as processes of this host, for gateways without
// Kubernetes. Each load balancer and gateway proxy gets one epic-proxy, which starts
// Envoy, in its own network namespace with the public address, so it listens exactly
// where a pod would.
//
// The processes outlive the operator: a new operator finds them by their records and
// takes them over. End removes everything.
//
// The directory contains
//
//	proxies.yaml       the proxies, for epic-node gateway --proxies-file
//	p/ID/record.json   what was started for one proxy
//	p/ID/token         the one-time secret by which the operator identifies the proxy
//	p/ID/log           the output of epic-proxy and Envoy
//	p/ID/run           epic-proxy's own directory
package processes
