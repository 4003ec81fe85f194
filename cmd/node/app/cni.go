// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/spf13/pflag"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	cnicommand "github.com/acnodal/epic/cmd/node/cni"
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/cni"
	"github.com/acnodal/epic/pkg/node/cni/install"
	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/handover"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/placement"
)

// cniOptions holds the flags for the CNI plugin.
type cniOptions struct {
	*cnicommand.Options

	enabled  bool
	stateDir string
	keep     []string
}

func newCNIOptions() *cniOptions {
	return &cniOptions{Options: cnicommand.NewOptions(), stateDir: "/run/epic/attachments"}
}

func (o *cniOptions) add(fs *pflag.FlagSet) {
	fs.BoolVar(&o.enabled, "cni", o.enabled, "Install the CNI plugin on this node, and give the pods of proxies their public addresses.")
	fs.StringVar(&o.stateDir, "cni-state-dir", o.stateDir, "Directory for the plugin's attachments, which only root can read. It must be empty after a reboot.")
	fs.StringSliceVar(&o.keep, "cni-keep", o.keep, "Networks that proxies reach through the cluster's network, in addition to EPIC's service-cidr and the node's addresses.")
	o.AddFlags(fs)
}

// attachments is the node's side of the CNI plugin.
type attachments struct {
	*cni.Attached

	kube      kubernetes.Interface
	server    *cni.Server
	listener  net.Listener
	installer *install.Installer
	pods      informers.SharedInformerFactory
	handover  *handover.Tracker
}

// newAttachments watches the pods of a node and, for terminating ones, reads the pods of
// other nodes.
func newAttachments(kube kubernetes.Interface, node string) *attachments {
	return &attachments{
		kube: kube,
		handover: handover.New(func(ctx context.Context, namespace string) ([]corev1.Pod, error) {
			list, err := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: placement.ProxyPodSelector.String()})
			if err != nil {
				return nil, err
			}
			return list.Items, nil
		}),
		pods: informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithTweakListOptions(func(l *metav1.ListOptions) {
			l.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
		})),
	}
}

// open opens the socket and the records of earlier attachments.
func (o *cniOptions) open(ctx context.Context, rc *rest.Config, client versioned.Interface, node string, addresses []netip.Addr) (_ *attachments, err error) {
	kube, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return nil, err
	}
	a := newAttachments(kube, node)
	if a.installer, err = o.Installer(); err != nil {
		return nil, err
	}
	if a.Attached, err = cni.OpenAttached(ctx, o.stateDir, netns.None()); err != nil {
		return nil, fmt.Errorf("--cni-state-dir: %w", err)
	}
	if a.listener, err = cni.Listen(ctx, o.Socket); err != nil {
		a.Close()
		return nil, fmt.Errorf("--cni-socket: %w", err)
	}
	v1 := client.EpicV1()
	informer := a.pods.Core().V1().Pods()
	a.server = &cni.Server{
		Attached: a.Attached,
		Worker:   podnet.Worker{Host: netns.None()},
		Resolver: &cni.Objects{
			Pods: nodePods{informer.Lister(), informer.Informer()},
			LoadBalancer: func(ctx context.Context, namespace, name string) (*epicv1.LoadBalancer, error) {
				return v1.LoadBalancers(namespace).Get(ctx, name, metav1.GetOptions{})
			},
			GWProxy: func(ctx context.Context, namespace, name string) (*epicv1.GWProxy, error) {
				return v1.GWProxies(namespace).Get(ctx, name, metav1.GetOptions{})
			},
			Prefix: func(ctx context.Context, name string) (*epicv1.ServicePrefix, error) {
				return v1.ServicePrefixes(epic.ConfigNamespace).Get(ctx, name, metav1.GetOptions{})
			},
			Keep: func(ctx context.Context) ([]netip.Prefix, error) {
				return o.kept(ctx, kube, client, node, addresses)
			},
		},
	}
	return a, nil
}

// kept returns the networks that proxies reach by the cluster's own network.
func (o *cniOptions) kept(ctx context.Context, kube kubernetes.Interface, client versioned.Interface, node string, addresses []netip.Addr) ([]netip.Prefix, error) {
	config, err := client.EpicV1().EPICs(epic.ConfigNamespace).Get(ctx, epic.ConfigName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	out, err := cni.Prefixes("EPIC's service-cidr", config.Spec.ServiceCIDR)
	if err != nil {
		return nil, err
	}
	for _, text := range o.keep {
		more, err := cni.Prefixes("--cni-keep", text)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	// The kubelet's probes come from one of these addresses.
	this, err := kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, a := range this.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			addresses = append(addresses[:len(addresses):len(addresses)], addr.Unmap())
		}
	}
	for _, a := range addresses {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

// run serves the plugin and keeps it installed, until the context ends.
func (a *attachments) run(ctx context.Context) error {
	a.pods.Start(ctx.Done())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.server.Run(ctx, a.listener) })
	group.Go(func() error { return a.installer.Run(ctx) })
	err := group.Wait()
	a.pods.Shutdown()
	return err
}

// List implements proxies.Source. A proxy whose pod is not ready, or is terminating and
// has handed over to another, is on standby; a proxy whose pod is unknown is not.
func (a *attachments) List() []proxies.Interface {
	all := a.Attached.List()
	pods := a.pods.Core().V1().Pods()
	if !pods.Informer().HasSynced() {
		return all
	}
	for i := range all {
		pod, err := pods.Lister().Pods(all[i].Namespace).Get(all[i].Pod)
		all[i].Standby = err == nil && !handover.Serves(pod) && (pod.DeletionTimestamp == nil || !a.handover.Holds(pod))
		all[i].Served = err == nil && served(pod)
	}
	return all
}

// Run implements proxies.Source.
func (a *attachments) Run(ctx context.Context, changed func()) error {
	informer := a.pods.Core().V1().Pods().Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, now any) {
			was, ok := before.(*corev1.Pod)
			is, too := now.(*corev1.Pod)
			if ok && too && (handover.Serves(was) != handover.Serves(is) || served(was) != served(is)) && placement.ProxyPodSelector.Matches(labels.Set(is.Labels)) {
				changed()
			}
		},
		DeleteFunc: func(gone any) {
			if last, ok := gone.(cache.DeletedFinalStateUnknown); ok {
				gone = last.Obj
			}
			if pod, ok := gone.(*corev1.Pod); ok {
				a.handover.Forget(pod.UID)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch the node's pods: %w", err)
	}
	defer func() { _ = informer.RemoveEventHandler(registration) }()
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() { a.handover.Run(ctx, changed) })
	return a.Attached.Run(ctx, changed)
}

// served reports whether a pod is ready or was ready before. A pod is not ready from the
// time it was scheduled. If that changed after a container started, it was ready in
// between. The times are whole seconds, and only the last two starts of a container are
// known, so a pod that was briefly ready may count as one that never was.
func served(pod *corev1.Pod) bool {
	c := handover.Readiness(pod)
	if c == nil || c.Status == corev1.ConditionTrue {
		return c != nil
	}
	for _, s := range pod.Status.ContainerStatuses {
		for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
			if state.Running != nil && c.LastTransitionTime.After(state.Running.StartedAt.Time) ||
				state.Terminated != nil && c.LastTransitionTime.After(state.Terminated.StartedAt.Time) {
				return true
			}
		}
	}
	return false
}

// Close releases its resources.
func (a *attachments) Close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
	a.Attached.Close()
}

// nodePods provides the pods of this node.
type nodePods struct {
	lister   corelisters.PodLister
	informer cache.SharedIndexInformer
}

// Get implements cni.Pods.
func (p nodePods) Get(namespace, name string) (*corev1.Pod, error) {
	if !p.informer.HasSynced() {
		return nil, errors.New("the node's pods are not known yet")
	}
	return p.lister.Pods(namespace).Get(name)
}

// HasSynced implements cni.Pods.
func (p nodePods) HasSynced() bool { return p.informer.HasSynced() }
