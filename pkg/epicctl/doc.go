// SPDX-License-Identifier: Apache-2.0

// Package epicctl is the command line of the platform team: it creates and deletes
// accounts with everything that belongs to them, shows their usage and limits, and reports
// problems of an installation.
//
// It stores no state and has no special access: kubectl could do the same with the same
// permissions. Each command has its own file; shared code is in tool.go (clients),
// errors.go, dryrun.go and output.go.
package epicctl
