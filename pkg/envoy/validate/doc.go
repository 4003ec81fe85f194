// SPDX-License-Identifier: Apache-2.0

// Package validate checks with a real Envoy whether it accepts resources before they reach
// a tenant's Envoy. A permanently running Envoy is queried over xDS; while it is down or
// does not respond, each check runs an Envoy that reads a configuration and exits. Results
// are cached by the content of the resource, so each content is checked once.
//
// It checks clusters, listeners and routes. Endpoints are not checked, because the proxy's
// translation never produces endpoints that Envoy rejects, and their delivery must not
// wait. Errors that the check can't detect, such as an address that is in use, are
// detected by the proxy's own Envoy and isolated by package delta.
package validate
