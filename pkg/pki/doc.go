// SPDX-License-Identifier: Apache-2.0

// Package pki creates and renews EPIC's own certificates. It does not revoke certificates.
//
// A standalone API server has a directory with a certificate authority, its serving
// certificate and an administrator's client certificate. On request, it also signs client
// certificates for nodes. To revoke access, remove the files and restart the server.
//
// The operator has a separate authority for the pods of proxies, in one Secret. Its
// certificates are valid for a day. It is replaced without an interruption: for some time,
// both the old and the new authority are trusted.
package pki
