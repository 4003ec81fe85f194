// SPDX-License-Identifier: Apache-2.0

// Package pki makes and keeps the certificates of a standalone server: an
// authority, the serving certificate, and an administrator's client certificate.
//
// It is for an installation with no cluster to ask for certificates. Beside those
// three it signs, when it is asked, client certificates for nodes. It revokes
// nothing: to lock somebody out, remove the files and start again.
package pki
