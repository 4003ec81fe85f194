// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Installation is what was read of the programs of an installation and of the objects
// that the platform team owns. A nil part was not read, and yields no check.
type Installation struct {
	// Now is when it was read.
	Now metav1.Time `json:"now"`
	// Server is the server that the kubeconfig names.
	Server Server `json:"server"`
	// APIService is what the kube-apiserver knows of the aggregated API.
	APIService *APIService `json:"apiService,omitempty"`
	// Replicas are the servers behind the service.
	Replicas *Replicas `json:"replicas,omitempty"`
	// Readiness is what a server says of itself.
	Readiness *Readiness `json:"readiness,omitempty"`
	// API reports which kinds are served.
	API *API `json:"api,omitempty"`

	// Configuration is the EPIC object.
	Configuration *Configuration `json:"configuration,omitempty"`
	// Addresses are the pools and what is used of them.
	Addresses *Addresses `json:"addresses,omitempty"`
	// Lease is the one that the leading controller renews.
	Lease *Lease `json:"lease,omitempty"`
	// Envoys are those of all load balancers and gateway proxies.
	Envoys *Envoys `json:"envoys,omitempty"`
	// GatewayNodes are what gateway nodes report.
	GatewayNodes *GatewayNodes `json:"gatewayNodes,omitempty"`
	// NodeProgram is the DaemonSet of the gateway nodes.
	NodeProgram *DaemonSet `json:"nodeProgram,omitempty"`
	// Claims is the audit's result.
	Claims *Claims `json:"claims,omitempty"`
}

// Server is the server that the kubeconfig names.
type Server struct {
	// Version is that of Kubernetes.
	Version string `json:"version,omitempty"`
	// Standalone means that it is an EPIC server without Kubernetes around it.
	Standalone bool    `json:"standalone,omitempty"`
	Unread     *Unread `json:"unread,omitempty"`
}

// APIService is the part of an APIService that is read. The type's own package brings a
// whole API server with it.
type APIService struct {
	// Absent means that there is none.
	Absent bool `json:"absent,omitempty"`
	// Service reports where the servers are.
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

// Readiness is what a server's readyz says.
type Readiness struct {
	Passed []string `json:"passed,omitempty"`
	Failed []string `json:"failed,omitempty"`
	// Unknown means that no server could be asked, through no fault of the reader.
	Unknown string  `json:"unknown,omitempty"`
	Unread  *Unread `json:"unread,omitempty"`
}

// API is what is served of the group.
type API struct {
	// Missing are the resources that are not served.
	Missing []string `json:"missing,omitempty"`
	Unread  *Unread  `json:"unread,omitempty"`
}

// Configuration is the EPIC object.
type Configuration struct {
	// Object is nil if there is none, or if it was not read.
	Object *v1.EPIC `json:"object,omitempty"`
	Unread *Unread  `json:"unread,omitempty"`
}

// Addresses are the pools, and the addresses that objects have.
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

// Lease is the one that the leading controller renews.
type Lease struct {
	// Absent means that there is none.
	Absent   bool              `json:"absent,omitempty"`
	Holder   string            `json:"holder,omitempty"`
	Renewed  *metav1.MicroTime `json:"renewed,omitempty"`
	Duration metav1.Duration   `json:"duration,omitempty"`
	Unread   *Unread           `json:"unread,omitempty"`
}

// GatewayNodes are what gateway nodes report.
type GatewayNodes struct {
	Objects []*v1.GatewayNode `json:"objects,omitempty"`
	Unread  *Unread           `json:"unread,omitempty"`
}

// DaemonSet counts the nodes that a DaemonSet is for.
type DaemonSet struct {
	// Absent means that there is none.
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

// Checks judges all parts that were read, in the order in which they depend on each other.
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

// service is where the kube-apiserver sends requests to EPIC's servers, if that is known.
func (i *Installation) service() *ServiceReference {
	if i.APIService == nil {
		return nil
	}
	return i.APIService.Service
}

// epic is the EPIC object, if it was read and stays.
func (i *Installation) epic() *v1.EPIC {
	if i.Configuration == nil || i.Configuration.Object == nil || i.Configuration.Object.DeletionTimestamp != nil {
		return nil
	}
	return i.Configuration.Object
}
