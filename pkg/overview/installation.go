// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Installation is the state of the programs of an installation and of the objects that
// the platform team owns. A nil part was not read, and results in no check.
type Installation struct {
	// Now is when the state was read.
	Now metav1.Time `json:"now"`
	// Server is the server in the kubeconfig.
	Server Server `json:"server"`
	// APIService is the kube-apiserver's state of the aggregated API.
	APIService *APIService `json:"apiService,omitempty"`
	// Replicas are the servers behind the service.
	Replicas *Replicas `json:"replicas,omitempty"`
	// Readiness is the state that a server reports.
	Readiness *Readiness `json:"readiness,omitempty"`
	// API reports which kinds are served.
	API *API `json:"api,omitempty"`

	// Configuration is the EPIC object.
	Configuration *Configuration `json:"configuration,omitempty"`
	// Addresses are the pools and the addresses in use.
	Addresses *Addresses `json:"addresses,omitempty"`
	// Lease is the lease that the leading controller renews.
	Lease *Lease `json:"lease,omitempty"`
	// Envoys is the state of the Envoys of all load balancers and gateway proxies.
	Envoys *Envoys `json:"envoys,omitempty"`
	// GatewayNodes are the reports of gateway nodes.
	GatewayNodes *GatewayNodes `json:"gatewayNodes,omitempty"`
	// NodeProgram is the DaemonSet of the gateway nodes.
	NodeProgram *DaemonSet `json:"nodeProgram,omitempty"`
	// Claims is the result of the audit.
	Claims *Claims `json:"claims,omitempty"`
}

// Server is the server in the kubeconfig.
type Server struct {
	// Version is the version of Kubernetes.
	Version string `json:"version,omitempty"`
	// Standalone indicates an EPIC server that is not part of a Kubernetes cluster.
	Standalone bool    `json:"standalone,omitempty"`
	Unread     *Unread `json:"unread,omitempty"`
}

// APIService is the part of an APIService that is read. The package of its type imports a
// whole API server.
type APIService struct {
	// Absent indicates that it does not exist.
	Absent bool `json:"absent,omitempty"`
	// Service refers to the Service of the servers.
	Service    *ServiceReference  `json:"service,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Unread     *Unread            `json:"unread,omitempty"`
}

// ServiceReference names the Service of the API servers.
type ServiceReference struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      *int32 `json:"port,omitempty"`
}

// Replicas counts the API servers behind the Service.
type Replicas struct {
	Ready  int     `json:"ready"`
	Total  int     `json:"total"`
	Unread *Unread `json:"unread,omitempty"`
}

// Readiness is the result of a server's readyz.
type Readiness struct {
	Passed []string `json:"passed,omitempty"`
	Failed []string `json:"failed,omitempty"`
	// Unknown is why no server could be queried, if that is not caused by the reader.
	Unknown string  `json:"unknown,omitempty"`
	Unread  *Unread `json:"unread,omitempty"`
}

// API describes what is served of the group.
type API struct {
	// Missing lists the resources that are not served.
	Missing []string `json:"missing,omitempty"`
	Unread  *Unread  `json:"unread,omitempty"`
}

// Configuration is the EPIC object.
type Configuration struct {
	// Object is nil if it does not exist or was not read.
	Object *v1.EPIC `json:"object,omitempty"`
	Unread *Unread  `json:"unread,omitempty"`
}

// Addresses are the pools, and the addresses of objects.
type Addresses struct {
	Prefixes []*v1.ServicePrefix `json:"prefixes,omitempty"`
	Used     []netip.Addr        `json:"used,omitempty"`
	Unread   *Unread             `json:"unread,omitempty"`
}

// Use adds the addresses of an object.
func (a *Addresses) Use(texts ...string) {
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			a.Used = append(a.Used, address)
		}
	}
}

// Lease is the lease that the leading controller renews.
type Lease struct {
	// Absent indicates that it does not exist.
	Absent   bool              `json:"absent,omitempty"`
	Holder   string            `json:"holder,omitempty"`
	Renewed  *metav1.MicroTime `json:"renewed,omitempty"`
	Duration metav1.Duration   `json:"duration,omitempty"`
	Unread   *Unread           `json:"unread,omitempty"`
}

// GatewayNodes are the reports of gateway nodes.
type GatewayNodes struct {
	Objects []*v1.GatewayNode `json:"objects,omitempty"`
	Unread  *Unread           `json:"unread,omitempty"`
}

// DaemonSet counts the nodes of a DaemonSet.
type DaemonSet struct {
	// Absent indicates that it does not exist.
	Absent  bool    `json:"absent,omitempty"`
	Desired int32   `json:"desired"`
	Ready   int32   `json:"ready"`
	Unread  *Unread `json:"unread,omitempty"`
}

// Claims is the result of an audit.
type Claims struct {
	Objects  int     `json:"objects"`
	Claims   int     `json:"claims"`
	Problems int     `json:"problems"`
	Clean    bool    `json:"clean"`
	Unread   *Unread `json:"unread,omitempty"`
}

// Checks checks all parts that were read, in the order of their dependencies.
func (i *Installation) Checks() []Check {
	var c checks
	i.checkServer(&c)
	i.checkAPIService(&c)
	i.checkReplicas(&c)
	i.checkReadiness(&c)
	i.checkAPI(&c)
	i.checkConfiguration(&c)
	i.checkAddresses(&c)
	i.checkController(&c)
	i.checkEnvoys(&c)
	i.checkGatewayNodes(&c)
	i.checkClaims(&c)
	return c
}

// service returns the Service to which the kube-apiserver sends requests for EPIC, if it
// is known.
func (i *Installation) service() *ServiceReference {
	if i.APIService == nil {
		return nil
	}
	return i.APIService.Service
}

// epic returns the EPIC object, if it was read and is not being deleted.
func (i *Installation) epic() *v1.EPIC {
	if i.Configuration == nil || i.Configuration.Object == nil || i.Configuration.Object.DeletionTimestamp != nil {
		return nil
	}
	return i.Configuration.Object
}
