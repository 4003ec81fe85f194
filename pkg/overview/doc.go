// SPDX-License-Identifier: Apache-2.0

// Package overview computes what people want to know about an installation from what was
// read of it: whether its parts are well, what each account has, how each proxy reaches
// its endpoints, and for each fault the reason and the fix.
//
// It is pure. Its callers, "epicctl status" and "epicctl dashboard", read the objects and
// describe what they could not read. Installation has the facts about the programs and yields
// Checks; Objects has the API objects and yields a Model.
package overview
