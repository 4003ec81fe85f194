// SPDX-License-Identifier: Apache-2.0

// Package kube has the flags of programs that work on the objects of an API server and
// elect a leader among their replicas. It is separate from package cli, so programs
// without these flags do not link the client.
package kube
