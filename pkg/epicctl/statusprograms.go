// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"
)

// Names that the manifests give to the programs. The controller runs in the
// namespace of the API servers, the node program in one of its own.
const (
	controllerLease = "epic-controller"
	nodeNamespace   = "epic-node"
	nodeDaemonSet   = "epic-node"
	notInstalled    = "not installed"
)

// checkController looks at the lease that the leading controller keeps renewing.
func (s *status) checkController(ctx context.Context) {
	const check = "controller"
	if s.service == nil {
		s.ok(check, notInstalled)
		return
	}
	ns := s.service.Namespace
	lease, err := s.kubeClient.CoordinationV1().Leases(ns).Get(ctx, controllerLease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.ok(check, notInstalled)
		return
	}
	if err != nil {
		s.failed(check, right{"get", "leases.coordination.k8s.io", ns}, err)
		return
	}
	const wayOut = "see the controller's pods and their logs"
	holder, renewed := ptr.Deref(lease.Spec.HolderIdentity, ""), lease.Spec.RenewTime
	if holder == "" || renewed == nil {
		s.fail(check, wayOut, "no controller leads")
		return
	}
	since := time.Since(renewed.Time)
	valid := time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second
	if since > valid {
		s.fail(check, wayOut, "%s led, and has not been heard of for %s", holder, duration.HumanDuration(since))
		return
	}
	s.ok(check, "%s leads", holder)
}

// checkNodes looks at the program that runs on each node of the gateway cluster.
func (s *status) checkNodes(ctx context.Context) {
	const check = "nodes"
	if s.service == nil {
		s.ok(check, notInstalled)
		return
	}
	const ns = nodeNamespace
	set, err := s.kubeClient.AppsV1().DaemonSets(ns).Get(ctx, nodeDaemonSet, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.ok(check, notInstalled)
		return
	}
	if err != nil {
		s.failed(check, right{"get", "daemonsets.apps", ns}, err)
		return
	}
	const wayOut = "see the pods of the DaemonSet epic-node and their logs"
	want, ready := set.Status.DesiredNumberScheduled, set.Status.NumberReady
	switch {
	case want == 0:
		s.warn(check, "label nodes so that the DaemonSet epic-node chooses them", "no node runs the node program")
	case ready == 0:
		s.fail(check, wayOut, "the node program is ready on none of %d nodes", want)
	case ready < want:
		s.warn(check, wayOut, "the node program is ready on %d of %d nodes", ready, want)
	default:
		s.ok(check, "the node program is ready on %d of %d nodes", ready, want)
	}
}
