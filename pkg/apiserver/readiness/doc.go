// SPDX-License-Identifier: Apache-2.0

// Package readiness reports the permissions that an aggregated server lacks.
//
// A server without one of its permissions starts, and then answers every write with 403
// "not yet ready", or waits for an informer that never syncs, without reporting which rule
// of which role is missing. Therefore the server checks each of its permissions with the
// kube-apiserver, and has a readyz check for each of them. A failed check is reported in
// readyz and does not stop the process.
package readiness
