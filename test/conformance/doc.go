// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the Gateway API's official conformance suite against EPIC. It
// is a Go module of its own, because the suite brings a world of its own.
// hack/conformance.sh starts what it needs.
package conformance
