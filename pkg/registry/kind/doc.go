// SPDX-License-Identifier: Apache-2.0

// Package kind builds the REST storage of one kind: a generic store for its
// objects, another for their status, and what all kinds have in common. What
// makes a kind different it tells in a Config: strategies, a table and fields.
package kind
