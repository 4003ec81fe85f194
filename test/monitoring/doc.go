// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what artifacts/monitoring has for Prometheus and Grafana: that
// each alert fires and clears by promtool, that it has a section in the runbook, that the
// metrics and labels of rules and dashboards exist, that promtool parses each query, and that
// the manifests for the Prometheus Operator and for Grafana are made of the same files.
//
// TestAlertsFire runs all of EPIC: a kube-apiserver with EPIC's API behind it, all programs on a
// small Internet of network namespaces, real Envoys, and a real Prometheus with the scrape jobs and
// rules that ship. It asks each query of each dashboard, and has each alert fire by a fault. "make
// alerts" runs it, as root; the build tag keeps it out of make test.
package monitoring
