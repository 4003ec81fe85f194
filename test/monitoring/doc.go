// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what artifacts/monitoring has for Prometheus and Grafana: that
// each alert fires and clears by promtool and, as far as a test can cause what is wrong, by a
// real Prometheus that scrapes the real programs; that it has a section in the runbook; that
// the metrics of rules and dashboards exist, and a real Prometheus answers each query; and
// that the manifests for the Prometheus Operator and for Grafana are made of the same files.
package monitoring
