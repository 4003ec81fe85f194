// SPDX-License-Identifier: Apache-2.0

// Package credential refreshes a program's credentials for an API server while the program
// runs. Clients send their requests through a Transport, which adds the current
// credential. A source replaces it: kubeconfig files that are read again, or a connector
// that issues a token to a client node for an hour.
package credential
