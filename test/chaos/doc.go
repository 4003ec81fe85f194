// SPDX-License-Identifier: Apache-2.0

// Chaos runs EPIC's programs in a small Internet of network namespaces, breaks one part after
// the other for as long as it is told to, and judges every answer that visitors get. See
// docs/developer/chaos.md, and "make chaos".
//
// The parts are
//
//   - schedule.go: which fault comes when, drawn from a seed;
//   - oracle.go: what a request should get, and which reasons excuse that it does not;
//   - tenant.go and its neighbors: tenants that create, change and delete objects;
//   - visitor.go: requests;
//   - site.go: the programs, on disks and links that can be broken;
//   - faults.go: how each fault is made and ended;
//   - leftovers.go: what has to be gone in the end;
//   - report.go: what happened.
package main
