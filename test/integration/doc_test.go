// SPDX-License-Identifier: Apache-2.0

// Package integration tests the API as users meet it: through kubectl and
// through clients, on real servers with a real etcd.
package integration
