// SPDX-License-Identifier: Apache-2.0

// Package xds serves the configuration of Envoys by the incremental aggregated
// discovery service. Package delta decides what each client is sent.
//
// The caller sets the whole configuration of a proxy, or the endpoints of one cluster.
// Neither call waits for a client. All pods of a proxy get the same configuration,
// except for endpoints that are set for one pod. A client gets the configuration of the
// proxy that its certificate names, whatever node it claims to be.
//
// Proxies share no lock but that of the list of proxies, which no call holds while it
// works. A client that reads slowly holds up its own stream, by flow control.
package xds
