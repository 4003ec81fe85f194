// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// APIServiceName is the name of the APIService of the API.
const APIServiceName = "v1." + v1.GroupName

// ExpectedResources lists what every version of the API serves.
var ExpectedResources = []string{
	epic.ResourceAccounts, epic.ResourceEPICs, epic.ResourceGatewayNodes, epic.ResourceGWEndpointSlices, epic.ResourceGWProxies, epic.ResourceGWRoutes, epic.ResourceLBServiceGroups, epic.ResourceLoadBalancers, epic.ResourceRemoteEndpoints, epic.ResourceServicePrefixes,
}

func (i *Installation) checkServer(c *checks) {
	const name = "server"
	switch s := &i.Server; {
	case s.Unread != nil:
		c.fail(name, "check that the server is running and that your kubeconfig is for it; --context selects another cluster", "%s", s.Unread.Message)
	case s.Standalone:
		c.ok(name, "reachable; a standalone EPIC server")
	default:
		c.ok(name, "reachable; Kubernetes %s", s.Version)
	}
}

// checkAPIService checks the kube-apiserver's state of the aggregated API.
func (i *Installation) checkAPIService(c *checks) {
	const name = "api service"
	if i.Server.Unread == nil && i.Server.Standalone {
		c.ok(name, "not installed: the server is standalone")
		return
	}
	s := i.APIService
	switch {
	case s == nil:
		return
	case s.Absent:
		c.fail(name, "install EPIC in this cluster, or choose another cluster with --context", "APIService %s does not exist", APIServiceName)
		return
	case s.Unread != nil:
		c.unread(name, s.Unread)
		return
	}
	for _, has := range s.Conditions {
		if has.Type != "Available" {
			continue
		}
		if has.Status == metav1.ConditionTrue {
			c.ok(name, "%s is Available", APIServiceName)
			return
		}
		c.fail(name, fixOfUnavailable(has.Reason), "%s is not Available: %s: %s", APIServiceName, has.Reason, has.Message)
		return
	}
	c.warn(name, "wait a moment: the kube-apiserver has not checked it yet", "%s has no condition Available", APIServiceName)
}

// fixOfUnavailable returns the fix for a reason of the kube-apiserver.
func fixOfUnavailable(reason string) string {
	switch reason {
	case "ServiceNotFound", "ServicePortError", "ServiceAccessError":
		return "the Service in the APIService must exist, with that port: install the manifests again"
	case "EndpointsNotFound", "MissingEndpoints":
		return "no server is ready: check the pods of the Deployment epic-apiserver and their logs"
	case "FailedDiscoveryCheck":
		return "the kube-apiserver can't connect to the servers: check that the caBundle of the APIService contains the authority that signed their certificate, and that no network policy blocks the connection"
	}
	return "kubectl describe apiservice " + APIServiceName
}

// checkReplicas checks the number of servers behind the service.
func (i *Installation) checkReplicas(c *checks) {
	const (
		name = "replicas"
		fix  = "check the pods of the Deployment epic-apiserver and their logs"
	)
	switch r := i.Replicas; {
	case r == nil:
	case r.Unread != nil:
		c.unread(name, r.Unread)
	case r.Ready == 0:
		c.fail(name, fix, "none of %d is ready", r.Total)
	case r.Ready < r.Total:
		c.warn(name, fix, "%d of %d are ready", r.Ready, r.Total)
	default:
		c.ok(name, "%d of %d are ready", r.Ready, r.Total)
	}
}

// checkReadiness reports each failed check of a server. etcd has a separate line.
func (i *Installation) checkReadiness(c *checks) {
	const name = "readiness"
	r := i.Readiness
	switch {
	case r == nil:
		return
	case r.Unknown != "":
		c.warn(name, "", "unknown: %s", r.Unknown)
		return
	case r.Unread != nil:
		c.unread(name, r.Unread)
		return
	}
	isEtcd := func(check string) bool { return strings.Contains(check, "etcd") }
	if at := slices.IndexFunc(r.Failed, isEtcd); at >= 0 {
		c.fail("etcd", "check that a majority of etcd's members is running, and that the server's --etcd-* flags have their addresses and certificates", "readyz check %s fails", r.Failed[at])
	} else if slices.ContainsFunc(r.Passed, isEtcd) {
		c.ok("etcd", "reachable from the server")
	} else {
		c.warn("etcd", "", "unknown: the server has no readyz check for it")
	}
	failed := slices.DeleteFunc(slices.Clone(r.Failed), isEtcd)
	if len(failed) > 0 {
		c.fail(name, "the server's log gives the reason; a failed check permission-... means that the server's role lacks that rule", "readyz fails: %s", strings.Join(failed, ", "))
		return
	}
	c.ok(name, "%s", count(len(r.Passed), "readyz check passes", "readyz checks pass"))
}

// ReadyzLines parses the verbose output of readyz.
func ReadyzLines(body []byte) (passed, failed []string) {
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

// checkAPI checks whether the kinds are served. Without the API, nothing else can be
// checked, regardless of the reason.
func (i *Installation) checkAPI(c *checks) {
	const name = "api"
	switch a := i.API; {
	case a == nil:
	case a.Unread != nil:
		c.fail(name, a.Unread.Fix, "%s", a.Unread.Message)
	case len(a.Missing) > 0:
		c.fail(name, "upgrade the server if it is older than this program; otherwise, something else serves the group", "%s lacks %s", v1.SchemeGroupVersion, strings.Join(a.Missing, ", "))
	default:
		c.ok(name, "%s serves its %d kinds", v1.SchemeGroupVersion, len(ExpectedResources))
	}
}
