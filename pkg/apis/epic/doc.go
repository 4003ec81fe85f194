// SPDX-License-Identifier: Apache-2.0

// Package epic holds the internal form of the epic.acnodal.io API: the one
// shape that the server's own code works with, whatever version a client
// speaks. Its types have no JSON names and are never written anywhere; the
// packages below it, one a version, convert to and from them.
//
// +k8s:deepcopy-gen=package
// +groupName=epic.acnodal.io
package epic
