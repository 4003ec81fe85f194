// SPDX-License-Identifier: Apache-2.0

// Package template renders the Envoy configuration that an envoy-template describes into
// the same resources as package translate makes.
//
// A template is code that somebody else wrote. It runs within bounds of time, steps and
// output, sees copies of what it may see, and what it yields is decoded strictly and then
// confined: every message, those inside of extensions included, is checked against one
// table of rules. Whatever is not known to be harmless is refused, with the field, the
// rule and the way out.
//
// A value that a template prints stays one value: it is put into the decoded document, not
// into its text, so neither quotes nor line breaks in a tenant's route change the document.
package template
