// SPDX-License-Identifier: Apache-2.0

// Package loadbalancer stores load balancers.
package loadbalancer
