// SPDX-License-Identifier: Apache-2.0

// Package kind pins the versions of the programs that hack/kind-image.sh builds for
// clusters of kind, in addition to those of hack/cluster.sh.
package kind
