// SPDX-License-Identifier: Apache-2.0

// Package overview computes an overview of an installation: whether its components are
// healthy, what each account has, how each proxy reaches its endpoints, and for each
// problem the reason and the fix.
//
// It is pure. Its callers, "epicctl status" and "epicctl dashboard", read the objects and
// report what they could not read. Installation contains the facts about the programs and
// returns Checks; Objects contains the API objects and returns a Model.
package overview
