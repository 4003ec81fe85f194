// SPDX-License-Identifier: Apache-2.0

// Package envoytest runs a real Envoy in tests and reports whether it accepts resources. The
// Envoy is the one that hack/envoy.sh finds; without one, tests fail.
package envoytest
