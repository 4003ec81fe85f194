// SPDX-License-Identifier: Apache-2.0

// Package cli is what the command lines of EPIC's long-running programs have in
// common: how they start and end, how they speak of mistakes, and their flags on
// logs. epicctl, which speaks with people as kubectl does, has its own.
package cli
