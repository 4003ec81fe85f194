// SPDX-License-Identifier: Apache-2.0

// Package options turns the command line of epic-apiserver into the
// configuration of a server.
//
// Each subject has a file of its own with AddFlags, Validate and ApplyTo.
// Validate looks at values alone; what needs the file system, the network or
// the clock is checked in Config, which also starts the embedded etcd. Every
// error names the flag, the rule and the way out, because it is everything that the
// operator sees.
package options
