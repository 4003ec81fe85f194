// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	apiServiceName = "v1." + v1.GroupName
	apiServicePath = "/apis/apiregistration.k8s.io/v1/apiservices/" + apiServiceName
	// httpsPort is the port of a service reference that names none.
	httpsPort = 443
)

// expectedResources is what every version of the API serves.
var expectedResources = []string{
	epic.ResourceAccounts, epic.ResourceEPICs, epic.ResourceGatewayNodes, epic.ResourceGWEndpointSlices, epic.ResourceGWProxies, epic.ResourceGWRoutes, epic.ResourceLBServiceGroups, epic.ResourceLoadBalancers, epic.ResourceRemoteEndpoints, epic.ResourceServicePrefixes,
}

// serviceReference is the part of an APIService that says where the servers are.
// The type's own package brings a whole API server with it.
type serviceReference struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Port      *int32 `json:"port"`
}

func (r serviceReference) port() int32 {
	if r.Port == nil {
		return httpsPort
	}
	return *r.Port
}

// apiService is the part of an APIService that this program reads.
type apiService struct {
	Spec struct {
		Service *serviceReference `json:"service"`
	} `json:"spec"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// reachable says whether there is anything to ask.
func (s *status) reachable() bool {
	const check = "server"
	version, err := s.kubeClient.Discovery().ServerVersion()
	if err == nil {
		s.around, err = look(s.kubeClient)
	}
	switch {
	case err != nil:
		s.fail(check, "see that the server runs and that your kubeconfig is for it; --context chooses another", "%v", explain(err))
		return false
	case s.around.standalone():
		s.ok(check, "reachable; an EPIC server that runs alone")
	default:
		s.ok(check, "reachable; Kubernetes %s", version.GitVersion)
	}
	return true
}

// checkAPIService asks the kube-apiserver what it thinks of the aggregated API.
func (s *status) checkAPIService(ctx context.Context) {
	const check = "api service"
	if s.around.standalone() {
		s.ok(check, "not installed: the server runs alone")
		return
	}
	r := right{verb: "get", resource: "apiservices.apiregistration.k8s.io"}
	data, err := s.raw(ctx, apiServicePath, nil)
	if apierrors.IsNotFound(err) {
		s.fail(check, "install EPIC in this cluster, or choose another cluster with --context", "there is no APIService %s", apiServiceName)
		return
	}
	if err != nil {
		s.failed(check, r, err)
		return
	}
	var service apiService
	if err := json.Unmarshal(data, &service); err != nil {
		s.fail(check, "", "the APIService can't be read: %v", err)
		return
	}
	s.service = service.Spec.Service
	for _, c := range service.Status.Conditions {
		if c.Type != "Available" {
			continue
		}
		if c.Status == metav1.ConditionTrue {
			s.ok(check, "%s is Available", apiServiceName)
			return
		}
		s.fail(check, wayOutOfUnavailable(c.Reason), "%s is not Available: %s: %s", apiServiceName, c.Reason, c.Message)
		return
	}
	s.warn(check, "wait a moment: the kube-apiserver has not looked yet", "%s has no condition Available", apiServiceName)
}

// wayOutOfUnavailable knows the reasons that the kube-apiserver gives.
func wayOutOfUnavailable(reason string) string {
	switch reason {
	case "ServiceNotFound", "ServicePortError", "ServiceAccessError":
		return "the service that the APIService names must be there, with that port: install the manifests again"
	case "EndpointsNotFound", "MissingEndpoints":
		return "no server is ready: see the pods of the Deployment epic-apiserver and their logs"
	case "FailedDiscoveryCheck":
		return "the kube-apiserver can't talk to the servers: see that the caBundle of the APIService is of the authority that signed their certificate, and that no network policy is between them"
	}
	return "kubectl describe apiservice " + apiServiceName
}

// checkReplicas counts the servers behind the service.
func (s *status) checkReplicas(ctx context.Context) {
	const check = "replicas"
	if s.service == nil {
		return
	}
	ns, name := s.service.Namespace, s.service.Name
	slices, err := s.kubeClient.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		s.failed(check, right{"list", "endpointslices.discovery.k8s.io", ns}, err)
		return
	}
	ready, total := 0, 0
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			total++
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
	}
	const wayOut = "see the pods of the Deployment epic-apiserver and their logs"
	switch {
	case ready == 0:
		s.fail(check, wayOut, "none of %d is ready", total)
	case ready < total:
		s.warn(check, wayOut, "%d of %d are ready", ready, total)
	default:
		s.ok(check, "%d of %d are ready", ready, total)
	}
}

// checkReadiness asks a server itself, through the kube-apiserver where there is
// one, and tells of each of its checks that fails. etcd gets a line of its own.
func (s *status) checkReadiness(ctx context.Context) {
	const check = "readiness"
	var (
		body []byte
		err  error
		r    = right{verb: "get", resource: "/readyz"}
	)
	verbose := map[string]string{"verbose": "true"}
	switch {
	case s.around.standalone():
		body, err = s.raw(ctx, "/readyz", verbose)
	case s.service == nil:
		s.warn(check, "", "unknown: no service is known that leads to a server")
		return
	default:
		name := fmt.Sprintf("https:%s:%d", s.service.Name, s.service.port())
		r = right{"get", "services/proxy", s.service.Namespace}
		body, err = s.raw(ctx, fmt.Sprintf("/api/v1/namespaces/%s/services/%s/proxy/readyz", s.service.Namespace, name), verbose)
	}
	passed, failed := readyzLines(body)
	if len(passed)+len(failed) == 0 {
		if err == nil {
			err = fmt.Errorf("readyz did not answer with a list of checks")
		}
		s.failed(check, r, err)
		return
	}
	isEtcd := func(name string) bool { return strings.Contains(name, "etcd") }
	if i := slices.IndexFunc(failed, isEtcd); i >= 0 {
		s.fail("etcd", "see that a majority of etcd's members run, and that the server's flags --etcd-* have their addresses and certificates", "readyz check %s fails", failed[i])
	} else if slices.ContainsFunc(passed, isEtcd) {
		s.ok("etcd", "reachable from the server")
	} else {
		s.warn("etcd", "", "unknown: the server has no readyz check for it")
	}
	failed = slices.DeleteFunc(failed, isEtcd)
	if len(failed) > 0 {
		s.fail(check, "the server's log says why; a check named permission-... is a rule that the server's own role lacks", "readyz fails: %s", strings.Join(failed, ", "))
		return
	}
	s.ok(check, "%s pass", count(len(passed), "readyz check", "readyz checks"))
}

// readyzLines reads the verbose answer of readyz.
func readyzLines(body []byte) (passed, failed []string) {
	for text := range strings.Lines(string(body)) {
		name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
		if rest, ok := strings.CutPrefix(name, "[+]"); ok {
			passed = append(passed, rest)
		} else if rest, ok := strings.CutPrefix(name, "[-]"); ok {
			failed = append(failed, rest)
		}
	}
	return passed, failed
}

// checkAPI says whether the kinds are served.
func (s *status) checkAPI() bool {
	const check = "api"
	list, err := s.epicClient.Discovery().ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		// Without the API nothing else can be said, whatever the reason.
		s.fail(check, "", "%v", right{verb: "get", resource: "/apis/" + v1.SchemeGroupVersion.String()}.explain(err))
		return false
	}
	missing := slices.DeleteFunc(slices.Clone(expectedResources), func(name string) bool {
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
	})
	if len(missing) > 0 {
		s.fail(check, "the server is older than this program, or something else serves the group", "%s lacks %s", v1.SchemeGroupVersion, strings.Join(missing, ", "))
		return false
	}
	s.ok(check, "%s serves its %d kinds", v1.SchemeGroupVersion, len(expectedResources))
	return true
}
