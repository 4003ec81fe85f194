// SPDX-License-Identifier: Apache-2.0

// Package envoytest runs a real Envoy in tests and reports what it thinks of resources. The
// Envoy is the one that hack/envoy.sh finds; without one, tests fail.
package envoytest
