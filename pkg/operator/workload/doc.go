// SPDX-License-Identifier: Apache-2.0

// Package workload computes the Kubernetes objects that run the Envoys of a load balancer
// or a gateway proxy. It is pure: it performs no I/O.
//
// # Placement
//
// A Deployment in the object's namespace runs the Envoys, only on gateway nodes and at
// most one of each version on a node. During a rollout a new Envoy may start next to an
// old one, so an object with one replica is never without an Envoy.
//
// # Permissions of a pod
//
// A pod's only credential is a token for the operator that is bound to the pod. It runs
// without root, capabilities and a writable root file system, and its first interface
// only reaches the operator and the cluster's DNS. Its memory is limited, so one tenant's
// traffic does not affect another's.
package workload
