// SPDX-License-Identifier: Apache-2.0

// Package issuer issues certificates to proxies' pods: it checks a pod's proof, determines
// which proxy it is, and signs its certificate. An Authenticator makes the decision:
// Kubernetes with a TokenReview and the pod, Secrets with a one-time secret for processes
// without Kubernetes.
package issuer
