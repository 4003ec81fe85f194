// SPDX-License-Identifier: Apache-2.0

// Package e2e tests EPIC as it is used: installed by the shipped manifests in a
// real Kubernetes cluster, driven by kubectl and by clients.
//
// Without KUBECONFIG the tests start a cluster of their own (hack/cluster.sh), and
// end it; EPIC_E2E_KEEP=1 leaves it running. With KUBECONFIG they use that
// cluster, which must have, or be able to get, the images that hack/images.sh
// builds: EPIC_E2E_LOAD names a command that takes the tarballs as arguments.
package e2e
