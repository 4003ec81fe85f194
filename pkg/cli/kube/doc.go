// SPDX-License-Identifier: Apache-2.0

// Package kube contains the flags of programs that reconcile objects of an API server and
// elect a leader among their replicas. It is separate from package cli, so programs
// without these flags do not link the client.
package kube
