// SPDX-License-Identifier: Apache-2.0

// Package readiness names what an aggregated server lacks.
//
// A server without one of its permissions starts, and then answers every write
// with 403 "not yet ready", or waits for an informer that never fills: nothing
// there reports which rule of which role is missing. So the server asks the
// kube-apiserver about each permission that it needs and has a readyz check for
// each. It grants nothing and gives nothing up: a check that fails is a line in
// readyz, not the end of the process.
package readiness
