// SPDX-License-Identifier: Apache-2.0

// Package issuer gives proxies' pods their certificates: it checks what a pod shows,
// decides which proxy it is, and signs. An Authenticator decides: Kubernetes by a
// TokenReview and the pod, Secrets by a one-time secret for processes without
// Kubernetes.
package issuer
