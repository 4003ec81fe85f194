// SPDX-License-Identifier: Apache-2.0

// Package xds serves the configuration of Envoys with the incremental aggregated discovery
// service. Package delta decides what each client is sent.
//
// The caller sets the whole configuration of a proxy, or the endpoints of one cluster.
// Neither call waits for a client. All pods of a proxy get the same configuration, except
// for endpoints that are set for one pod. A client gets the configuration of the proxy in
// its certificate, regardless of the node ID that it sends.
//
// Proxies share no lock except that of the list of proxies, which is only held briefly. A
// slow client only delays its own stream, through flow control.
package xds
