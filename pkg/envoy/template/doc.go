// SPDX-License-Identifier: Apache-2.0

// Package template renders an envoy-template into the same resources that package
// translate produces.
//
// A template is untrusted code. It runs with limits on time, steps and output, and only
// sees copies of its permitted input. Its output is decoded strictly and then checked:
// every message, including those inside extensions, is compared with one table of rules.
// Whatever is not known to be harmless is refused, with the field, the rule and the fix.
//
// A value that a template prints stays a single value, because it is inserted into the
// decoded document and not into its text. Quotes and line breaks in a tenant's route
// therefore can't change the document.
package template
