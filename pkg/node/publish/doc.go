// SPDX-License-Identifier: Apache-2.0

// Package publish writes what a gateway node knows into the API: the interfaces of
// its proxies at status.proxy-if-info of the objects that they run for, and a sign
// of life at status.nodes of the EPIC object. It writes this node's entries only,
// puts them right when another writer damaged them, and takes away those of pods
// that are gone.
package publish
