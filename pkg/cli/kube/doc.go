// SPDX-License-Identifier: Apache-2.0

// Package kube has the flags of programs that work on the objects of an API server, of
// which one of several replicas leads. It is apart from package cli so that programs
// without them are not linked with the client.
package kube
