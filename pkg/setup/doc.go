// SPDX-License-Identifier: Apache-2.0

// Package setup completes an installation in a cluster by what no manifest can contain: its
// certificates, the first master key of its tunnels, the authority in the APIService, and
// the EPIC object. It keeps what exists, so it may run at any time, renews certificates, and
// rotates the master key.
package setup
