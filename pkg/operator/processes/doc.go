// SPDX-License-Identifier: Apache-2.0

// Package processes runs proxies as processes of this host, for gateways without
// Kubernetes. Each load balancer and gateway proxy gets one epic-proxy, which starts
// Envoy, in a network namespace of its own with the public address, so it listens
// exactly where a pod would.
//
// What it started outlives it: a new operator finds the processes by their records,
// and continues with them. End removes everything.
//
// The folder has
//
//	proxies.yaml       the proxies, for epic-node gateway --proxies-file
//	p/ID/record.json   what was started for one proxy
//	p/ID/token         the secret by which the operator knows the proxy, once
//	p/ID/log           what epic-proxy and Envoy print
//	p/ID/run           epic-proxy's own folder
package processes
