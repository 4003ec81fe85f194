// SPDX-License-Identifier: Apache-2.0

// Package validation has the rules for EPIC's objects that need nothing but the
// object, and on an update what it was before. Rules about other objects, such
// as that a group exists or an address is free, are where claims are made.
//
// A message states which rule is broken and what to write instead; the field and
// its value stand before it. Everything that a tenant can make long has a
// bound, and what is quoted from a request is cut short.
package validation
