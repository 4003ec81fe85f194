// SPDX-License-Identifier: Apache-2.0

// Package options turns the command line of epic-apiserver into the configuration of a
// server.
//
// Each subject has its own file with AddFlags, Validate and ApplyTo. Validate only checks
// values; everything that requires the file system, the network or the clock is checked in
// Config, which also starts the embedded etcd. Every error names the flag, the rule and
// the fix, because an administrator sees nothing else.
package options
