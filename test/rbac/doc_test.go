// SPDX-License-Identifier: Apache-2.0

// Package rbac holds the shipped roles to what they are meant to be: a table
// that a person has read says for each role what it may do, and rules hold for
// every role and binding that ships.
package rbac
