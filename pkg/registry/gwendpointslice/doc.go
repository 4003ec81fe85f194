// SPDX-License-Identifier: Apache-2.0

// Package gwendpointslice stores the endpoint slices behind gateway routes.
package gwendpointslice
