// SPDX-License-Identifier: Apache-2.0

// Package registrytest runs the storage of all kinds in the process of a test, as the API
// server does, on a real etcd that the tests of a package share. It is for tests of rules
// that need other objects or claims; use kind/kindtest for tests that need a single
// object.
//
// A package that uses it must have a TestMain that calls Main.
package registrytest
