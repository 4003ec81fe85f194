// SPDX-License-Identifier: Apache-2.0

// Package credential keeps the credentials that a program has for an API server current
// while the program runs. Clients send their requests through a Transport, which adds the
// credential of the moment; a source replaces it: kubeconfig files that are read again, or
// a connector that gives a client node a token for an hour.
package credential
