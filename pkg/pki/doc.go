// SPDX-License-Identifier: Apache-2.0

// Package pki makes and keeps EPIC's own certificates. It revokes nothing.
//
// A standalone API server has a directory with an authority, its serving certificate
// and an administrator's client certificate. Next to those three it signs, when it is
// asked, client certificates for nodes. To lock somebody out, remove the files and
// start again.
//
// The operator has an authority of its own for the pods of proxies, in one Secret. Its
// certificates last a day. It is replaced without an interruption: for some time both
// the old and the new authority are trusted.
package pki
