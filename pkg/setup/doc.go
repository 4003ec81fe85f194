// SPDX-License-Identifier: Apache-2.0

// Package setup completes an installation in a cluster with what manifests can't contain:
// its certificates, the first master key of its tunnels, the authority in the APIService,
// and the EPIC object. It keeps existing objects, so it may run at any time, renews
// certificates, and rotates the master key.
package setup
