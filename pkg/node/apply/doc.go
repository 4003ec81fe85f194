// SPDX-License-Identifier: Apache-2.0

// Package apply makes the data plane and the ends of the control protocol match the
// intents. Changes that arrive within a few milliseconds are applied together. Changes
// that can't be applied are retried and do not delay others. The package does not watch
// the API, and only removes what it added: dataplane.Repairer removes leftovers of an
// earlier program.
//
// Services are added before their tunnel is opened, and a tunnel is closed before its
// services are removed, so no packet encounters a partial object.
package apply
