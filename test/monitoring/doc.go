// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what artifacts/monitoring has for Prometheus: that each alert
// fires and clears by promtool, that it has a section in the runbook, that its metrics
// exist, and that the manifests for the Prometheus Operator are made of the same rules.
package monitoring
