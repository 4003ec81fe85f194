// SPDX-License-Identifier: Apache-2.0

// Package kind builds the REST storage of one kind: a generic store for its objects,
// another for their status, and what all kinds have in common. A Kind value states
// what makes a kind different: its names, strategy, table and fields.
package kind
