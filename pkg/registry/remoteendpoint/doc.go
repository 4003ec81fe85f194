// SPDX-License-Identifier: Apache-2.0

// Package remoteendpoint stores remote endpoints, the tenants' pods behind load balancers.
package remoteendpoint
