// SPDX-License-Identifier: Apache-2.0

// Package registrytest runs the storage of all kinds in a test's process, as the
// API server has it, on a real etcd that the tests of a package share. It is for
// tests of rules that need other objects or claims; kind/kindtest is for what an
// object can be tested for alone.
//
// A package that uses it has a TestMain that calls Main.
package registrytest
