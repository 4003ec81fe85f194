// SPDX-License-Identifier: Apache-2.0

// Package apply makes the data plane and the ends of the control protocol equal to
// what the intents ask for. Changes that come within a few milliseconds go to the
// kernel together. What can't be applied is tried again and does not hold up the
// rest. It does not watch the API, and it removes only what it put: leftovers of an
// earlier program are for dataplane.Repairer.
//
// Services are there before their tunnel is open, and a tunnel is closed before
// its services go, so no packet meets half of an object.
package apply
