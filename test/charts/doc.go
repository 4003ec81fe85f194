// SPDX-License-Identifier: Apache-2.0

// Package charts tests the Helm charts of artifacts/charts with a real Helm: they install
// what the kustomizations of artifacts/install do, object by object, and values change what
// they are meant to change.
package charts
