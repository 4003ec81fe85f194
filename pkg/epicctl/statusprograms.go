// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
)

// checkController looks at the lease that the leading controller renews, or, where
// there are no leases, at what a controller sets.
func (s *status) checkController(ctx context.Context) {
	const check = "controller"
	if s.service == nil {
		s.checkControllersWork(check)
		return
	}
	ns := s.service.Namespace
	lease, err := s.kubeClient.CoordinationV1().Leases(ns).Get(ctx, controllerLease, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.warn(check, "install it with the rest of EPIC, see docs/install.md", "not installed: %s", withoutController)
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

// withoutController says what to expect where no controller runs.
const withoutController = "nothing sets conditions, so READY stays \"-\", and no tunnel is made"

// checkControllersWork looks at the conditions of the configuration, which a
// controller sets as soon as it runs.
func (s *status) checkControllersWork(check string) {
	if s.epic == nil {
		s.ok(check, "unknown: it can't be told without the EPIC object")
		return
	}
	const wayOut = "start one: epic-controller --kubeconfig=FILE --leader-elect=false"
	switch c := meta.FindStatusCondition(s.epic.Status.Conditions, readyCondition); {
	case c == nil:
		s.warn(check, wayOut, "no controller runs: %s", withoutController)
	case c.ObservedGeneration < s.epic.Generation:
		s.warn(check, wayOut, "the controller has not reacted to the last change of EPIC %s/%s", s.epic.Namespace, s.epic.Name)
	default:
		s.ok(check, "it sets conditions")
	}
}

// checkNodes looks at the program that runs on each node of the gateway cluster.
func (s *status) checkNodes(ctx context.Context) {
	const check = "nodes"
	if s.service == nil {
		s.countNodes(check)
		return
	}
	const ns = nodeNamespace
	set, err := s.kubeClient.AppsV1().DaemonSets(ns).Get(ctx, nodeDaemonSet, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.countNodes(check)
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

// countNodes counts the nodes that report, where no DaemonSet runs the program.
func (s *status) countNodes(check string) {
	if s.reports == nil {
		s.ok(check, "unknown: their reports can't be read")
		return
	}
	if n := len(s.reports); n > 0 {
		s.ok(check, "%s, without the DaemonSet %s", count(n, "gateway node reports", "gateway nodes report"), nodeDaemonSet)
		return
	}
	s.ok(check, "no gateway node yet; docs/node.md says how to run one")
}
