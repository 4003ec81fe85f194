// SPDX-License-Identifier: Apache-2.0

// Package workload computes the Kubernetes objects that run the Envoys of a load
// balancer or a gateway proxy. It is pure: it reads nothing and writes nothing.
//
// # Who runs where
//
// A Deployment in the object's namespace runs the Envoys, on gateway nodes only and
// at most one of a version on each node. During a rollout a new Envoy may start
// next to an old one, so an object with one replica is never without an Envoy.
//
// # What a pod may do
//
// A pod has no credentials but a token for the operator that is bound to the pod. It
// runs without root, capabilities and a writable root file system, and its first
// interface reaches the operator and the cluster's DNS only. Its memory is limited,
// so one tenant's traffic takes nothing from another's.
package workload
