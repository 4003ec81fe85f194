// SPDX-License-Identifier: Apache-2.0

// Package operator has tests and benchmarks of the operator with everything that belongs to it:
// an API server, a controller, the operator, and Envoys as processes of this machine on
// loopback addresses. They do not need root.
package operator
