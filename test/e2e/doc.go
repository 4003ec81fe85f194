// SPDX-License-Identifier: Apache-2.0

// Package e2e tests EPIC as it is used: installed by the shipped manifests in a
// real Kubernetes cluster, driven by kubectl and by clients.
//
// Without KUBECONFIG the tests start a cluster of their own (hack/cluster.sh), and
// end it; EPIC_E2E_KEEP=1 leaves it running. Where such a cluster runs already, they
// fail and leave it alone. With KUBECONFIG they use that
// cluster, install EPIC in it, lose its data and leave EPIC installed: they refuse
// a cluster that has accounts, unless EPIC_E2E_DATA_LOSS=1. EPIC_E2E_LOAD names a
// command that brings the image whose tarball is its last argument to the nodes;
// without one they must have, or be able to get, what hack/images.sh builds.
//
// EPIC_E2E_UPGRADES is how often TestUpgrade upgrades the API server, once if it is
// not set.
//
// Some tests need to reach the cluster's own processes, and are skipped where
// these are not hack/cluster.sh's.
package e2e
