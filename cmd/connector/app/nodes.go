// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/acnodal/epic/pkg/connector/nodes"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/credential"
)

// nodeOptions configures how client nodes get their credentials.
type nodeOptions struct {
	address, namespace, account, service string
}

func (o *nodeOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.address, "node-bind-address", o.address, "Address on which to issue credentials for EPIC to the nodes of this cluster, over TLS; empty to disable.")
	fs.StringVar(&o.namespace, "node-namespace", o.namespace, "The namespace of the node program.")
	fs.StringVar(&o.account, "node-service-account", o.account, "The service account of the node program.")
	fs.StringVar(&o.service, "node-service", o.service, "The Service, in the namespace of the lease, by which nodes reach the connector.")
}

func (o *nodeOptions) validate() error {
	if o.address == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.address); err != nil {
		return fmt.Errorf("--node-bind-address: %w: set an address and a port, such as :7450", err)
	}
	if o.namespace == "" || o.account == "" || o.service == "" {
		return fmt.Errorf("--node-bind-address requires --node-namespace, --node-service-account and --node-service: set them")
	}
	return nil
}

// addNodes makes the connector issue credentials to nodes.
func (o *options) addNodes(ctx context.Context, mgr manager.Manager, local, epic kubernetes.Interface, leaseNamespace, namespace string, transport *credential.Transport) error {
	if o.nodes.address == "" {
		return nil
	}
	reader := mgr.GetCache()
	accounts := &nodes.Accounts{Client: epic, Cluster: o.cluster, Namespace: namespace, Nodes: func(ctx context.Context) (map[types.UID]netip.Addr, error) {
		return nodeAddresses(ctx, reader)
	}}
	informer, err := reader.GetInformer(ctx, &corev1.Node{})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	gone := make(chan struct{}, 1)
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(any) {
		select {
		case gone <- struct{}{}:
		default:
		}
	}}); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	pods := &nodes.Pods{Client: local, Namespace: o.nodes.namespace, ServiceAccount: o.nodes.account}
	service := &nodes.Service{
		Server: &nodes.Server{
			Authenticate: pods.Node, Token: accounts.Token, Credential: transport.Credential,
			Node: func(ctx context.Context, name string) (nodes.Node, error) { return findNode(ctx, reader, name) },
		},
		Address: o.nodes.address, Names: serviceNames(o.nodes.service, leaseNamespace), Client: local,
		Namespace: leaseNamespace, NodeNamespace: o.nodes.namespace, Leads: leads(mgr),
	}
	if err := mgr.Add(service); err != nil {
		return fmt.Errorf("serve nodes: %w", err)
	}
	if err := mgr.Add(&nodes.Sweeper{Accounts: accounts, Changed: gone}); err != nil {
		return fmt.Errorf("sweep nodes: %w", err)
	}
	return nil
}

// serviceNames returns the names by which a Service is reached within its cluster.
func serviceNames(service, namespace string) []string {
	name := service + "." + namespace
	return []string{name, name + ".svc", name + ".svc.cluster.local"}
}

// leads reports whether this replica leads.
func leads(mgr manager.Manager) func() bool {
	return func() bool {
		select {
		case <-mgr.Elected():
			return true
		default:
			return false
		}
	}
}

func nodeAddresses(ctx context.Context, reader client.Reader) (map[types.UID]netip.Addr, error) {
	var list corev1.NodeList
	if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	all := make(map[types.UID]netip.Addr, len(list.Items))
	for i := range list.Items {
		if address, ok := publish.NodeAddress(&list.Items[i]); ok {
			all[list.Items[i].UID] = address
		}
	}
	return all, nil
}

func findNode(ctx context.Context, reader client.Reader, name string) (nodes.Node, error) {
	node := &corev1.Node{}
	err := reader.Get(ctx, types.NamespacedName{Name: name}, node)
	if apierrors.IsNotFound(err) {
		return nodes.Node{}, nodes.Refuse(http.StatusConflict, "the node %s is not known yet: try again", name)
	}
	if err != nil {
		return nodes.Node{}, fmt.Errorf("read node %s: %w", name, err)
	}
	address, ok := publish.NodeAddress(node)
	if !ok {
		return nodes.Node{}, nodes.Refuse(http.StatusConflict, "node %s has no address: its status has no internal address, and it has no valid annotation %s", name, publish.NodeAddressAnnotation)
	}
	return nodes.Node{Name: node.Name, UID: node.UID, Address: address}, nil
}
