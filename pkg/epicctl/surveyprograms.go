// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/overview"
)

const (
	apiServicePath = "/apis/apiregistration.k8s.io/v1/apiservices/" + overview.APIServiceName
	// httpsPort is the port of a service reference that names none.
	httpsPort = 443
	// controllerLease is the name of the controller's lease in the manifests. It is in
	// the namespace of the API servers.
	controllerLease = "epic-controller"
)

// programs reads the state of the programs, and reports whether the API is available for
// further checks.
func (s *survey) programs(ctx context.Context) (i *overview.Installation, goOn bool) {
	i = &overview.Installation{Now: metav1.Now()}
	version, err := s.kubeClient.Discovery().ServerVersion()
	var around surroundings
	if err == nil {
		i.Server.Version = version.GitVersion
		around, err = look(s.kubeClient)
	}
	if err != nil {
		i.Server.Unread = &overview.Unread{Message: explain(err).Error()}
		return i, false
	}
	i.Server.Standalone = around.standalone()
	if !i.Server.Standalone {
		i.APIService = s.apiService(ctx)
	}
	var service *overview.ServiceReference
	if i.APIService != nil {
		service = i.APIService.Service
	}
	if service != nil {
		i.Replicas = s.replicas(ctx, service)
		i.Lease = s.lease(ctx, service.Namespace)
		i.NodeProgram = s.nodeProgram(ctx)
	}
	i.Readiness = s.readiness(ctx, i.Server.Standalone, service)
	i.API = s.api()
	return i, i.API.Unread == nil && len(i.API.Missing) == 0
}

// apiService reads the kube-apiserver's state of the aggregated API.
func (s *survey) apiService(ctx context.Context) *overview.APIService {
	data, err := s.raw(ctx, apiServicePath, nil)
	switch {
	case apierrors.IsNotFound(err):
		return &overview.APIService{Absent: true}
	case err != nil:
		return &overview.APIService{Unread: right{verb: "get", resource: "apiservices.apiregistration.k8s.io"}.unread(err)}
	}
	var service struct {
		Spec struct {
			Service *overview.ServiceReference `json:"service"`
		} `json:"spec"`
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(data, &service); err != nil {
		return &overview.APIService{Unread: &overview.Unread{Message: fmt.Sprintf("the APIService can't be read: %v", err)}}
	}
	return &overview.APIService{Service: service.Spec.Service, Conditions: service.Status.Conditions}
}

// replicas counts the servers behind the service.
func (s *survey) replicas(ctx context.Context, service *overview.ServiceReference) *overview.Replicas {
	slices, err := s.kubeClient.DiscoveryV1().EndpointSlices(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
	if err != nil {
		return &overview.Replicas{Unread: right{"list", "endpointslices.discovery.k8s.io", service.Namespace}.unread(err)}
	}
	var r overview.Replicas
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			r.Total++
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				r.Ready++
			}
		}
	}
	return &r
}

// readiness queries a server directly, through the kube-apiserver if there is one.
func (s *survey) readiness(ctx context.Context, standalone bool, service *overview.ServiceReference) *overview.Readiness {
	path, r := "/readyz", right{verb: "get", resource: "/readyz"}
	switch {
	case standalone:
	case service == nil:
		return &overview.Readiness{Unknown: "no Service that leads to a server is known"}
	default:
		path = fmt.Sprintf("/api/v1/namespaces/%s/services/https:%s:%d/proxy/readyz", service.Namespace, service.Name, ptr.Deref(service.Port, httpsPort))
		r = right{"get", "services/proxy", service.Namespace}
	}
	body, err := s.raw(ctx, path, map[string]string{"verbose": "true"})
	passed, failed := overview.ReadyzLines(body)
	if len(passed)+len(failed) == 0 {
		if err == nil {
			err = errNoChecks
		}
		return &overview.Readiness{Unread: r.unread(err)}
	}
	return &overview.Readiness{Passed: passed, Failed: failed}
}

// lease reads the lease that the leading controller renews.
func (s *survey) lease(ctx context.Context, namespace string) *overview.Lease {
	lease, err := s.kubeClient.CoordinationV1().Leases(namespace).Get(ctx, controllerLease, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &overview.Lease{Absent: true}
	case err != nil:
		return &overview.Lease{Unread: right{"get", "leases.coordination.k8s.io", namespace}.unread(err)}
	}
	return &overview.Lease{
		Holder: ptr.Deref(lease.Spec.HolderIdentity, ""), Renewed: lease.Spec.RenewTime,
		Duration: metav1.Duration{Duration: time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second},
	}
}

// nodeProgram reads the DaemonSet of the program that runs on each gateway node.
func (s *survey) nodeProgram(ctx context.Context) *overview.DaemonSet {
	set, err := s.kubeClient.AppsV1().DaemonSets(epic.NodeNamespace).Get(ctx, overview.NodeDaemonSet, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &overview.DaemonSet{Absent: true}
	case err != nil:
		return &overview.DaemonSet{Unread: right{"get", "daemonsets.apps", epic.NodeNamespace}.unread(err)}
	}
	return &overview.DaemonSet{Desired: set.Status.DesiredNumberScheduled, Ready: set.Status.NumberReady}
}
