// SPDX-License-Identifier: Apache-2.0

// Package cli contains what the command lines of EPIC's long-running programs share:
// startup, shutdown, error output and logging flags. epicctl, which behaves like kubectl,
// has its own.
package cli
