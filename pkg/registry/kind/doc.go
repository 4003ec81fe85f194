// SPDX-License-Identifier: Apache-2.0

// Package kind builds the REST storage of one kind: a generic store for its objects,
// another for their status, and the behavior that all kinds share. A Kind value defines
// the differences: names, strategy, table and fields.
package kind
