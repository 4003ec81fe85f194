// SPDX-License-Identifier: Apache-2.0

// Package world is a small Internet on one machine, with a gateway node and tenants
// whose nodes are behind NAT:
//
//	visitor ──┐
//	          ├── internet ── gateway node ── br-epic ── proxy
//	NAT ──────┘ (a router)
//	 └── client node ── pod
//
// Every tenant has the same addresses inside. The hosts are namespaces; what runs
// in them are the real programs, and small HTTP servers that stand for Envoy and
// for the tenants' pods. Tests and "make run" use it; it needs root.
package world
