// SPDX-License-Identifier: Apache-2.0

// Package epic contains the internal version of the epic.acnodal.io API, which the
// server's own code uses regardless of the version that a client uses. Its types have no
// JSON names and are never serialized. The versioned packages below it convert to and from
// them.
//
// +k8s:deepcopy-gen=package
// +groupName=epic.acnodal.io
package epic
