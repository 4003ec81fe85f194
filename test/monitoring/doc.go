// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what artifacts/monitoring has for Prometheus and Grafana: that
// each alert fires and clears by promtool, that it has a section in the runbook, that the
// metrics and labels of rules and dashboards exist, that promtool parses each query, and that
// the manifests for the Prometheus Operator and for Grafana are made of the same files.
package monitoring
