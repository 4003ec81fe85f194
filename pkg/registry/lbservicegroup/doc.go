// SPDX-License-Identifier: Apache-2.0

// Package lbservicegroup stores service groups, the classes of service that load balancers and gateway
// proxies choose.
package lbservicegroup
