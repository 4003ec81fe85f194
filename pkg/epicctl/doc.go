// SPDX-License-Identifier: Apache-2.0

// Package epicctl is the command line of the platform team: it makes and deletes
// accounts with everything that belongs to them, shows their use against their limits,
// and reports whether an installation is well.
//
// It holds no state and knows no secret way in: whatever it does, kubectl could
// do with the same rights. Each command is in a file of its own; what several of
// them share is in tool.go (clients), errors.go, dryrun.go and output.go.
package epicctl
