// SPDX-License-Identifier: Apache-2.0

package nodeauthorizer

import (
	"context"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

var (
	gateway = &user.DefaultInfo{Name: "epic:node:192.0.2.1", Groups: []string{nodeidentity.Group}}
	client  = &user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.192.0.2.16"}

	verbs     = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "bind", "escalate", "*", ""}
	resources = []string{
		"epics", "serviceprefixes", "accounts", "lbservicegroups", "loadbalancers", "remoteendpoints", "gwproxies", "gwroutes",
		"gwendpointslices", "gatewaynodes", "whatevercomes", "*", "",
	}
	subresources = []string{"", "status", "tunnelkeys", "finalizers", "audit", "scale", "*"}
)

func decide(t *testing.T, u user.Info, a authorizer.AttributesRecord) authorizer.Decision {
	t.Helper()
	a.User = u
	decision, _, err := New(&nodeidentity.Identifier{}).Authorize(t.Context(), a)
	if err != nil {
		t.Errorf("%+v: %v", a, err)
	}
	return decision
}

// want states what each kind of node may do, apart from the tables in the code.
func want(isGateway bool, verb, resource string) bool {
	kind, subresource, _ := strings.Cut(resource, "/")
	isRead := slices.Contains([]string{"get", "list", "watch"}, verb)
	isProxy := kind == "loadbalancers" || kind == "gwproxies"
	switch subresource {
	case "":
		reads := []string{"accounts", "loadbalancers", "remoteendpoints", "gwproxies", "gwroutes", "gwendpointslices"}
		if isGateway {
			reads = append(reads, "epics", "serviceprefixes")
		}
		return isRead && slices.Contains(reads, kind) || isGateway && kind == "gatewaynodes" && slices.Contains([]string{"get", "create"}, verb)
	case "tunnelkeys":
		return isProxy && verb == "get"
	case "status":
		return isGateway && ((isProxy || kind == "gatewaynodes") && slices.Contains([]string{"get", "update", "patch"}, verb) || kind == "epics" && slices.Contains([]string{"get", "patch"}, verb))
	}
	return false
}

// Every verb on every resource and subresource, in the node's own namespace, in
// another's and in all.
func TestRequests(t *testing.T) {
	namespaces := map[string]bool{"epic-acme": true, "epic-other": false, "epic-acme-2": false, "epic": false, "": false, "default": false}
	allowed := 0
	for _, verb := range verbs {
		for _, kind := range resources {
			for _, subresource := range subresources {
				for namespace, own := range namespaces {
					for _, group := range []string{epic.GroupName, "", "apps", "epic.acnodal.io.example"} {
						resource := kind
						if subresource != "" {
							resource += "/" + subresource
						}
						a := authorizer.AttributesRecord{
							ResourceRequest: true, Verb: verb, APIGroup: group, APIVersion: "v1", Namespace: namespace,
							Resource: kind, Subresource: subresource, Name: "shop",
						}
						for u, may := range map[*user.DefaultInfo]bool{
							gateway: group == epic.GroupName && want(true, verb, resource),
							client:  group == epic.GroupName && own && want(false, verb, resource),
						} {
							if got := decide(t, u, a) == authorizer.DecisionAllow; got != may {
								t.Errorf("%s: %s %s.%s in %q: %v", u.Name, verb, resource, group, namespace, got)
							}
							if may {
								allowed++
							}
						}
					}
				}
			}
		}
	}
	if allowed == 0 {
		t.Error("nothing is allowed")
	}
}

func TestDiscovery(t *testing.T) {
	for path, may := range map[string]bool{
		"/api": true, "/apis": true, "/apis/epic.acnodal.io/v1": true, "/openapi/v3": true, "/version": true,
		"/metrics": false, "/debug/pprof": false, "/apisecret": false, "/": false, "": false, "/logs": false,
	} {
		for _, u := range []user.Info{gateway, client} {
			if got := decide(t, u, authorizer.AttributesRecord{Verb: "get", Path: path}) == authorizer.DecisionAllow; got != may {
				t.Errorf("%s: %s: %v", u.GetName(), path, got)
			}
			if decide(t, u, authorizer.AttributesRecord{Verb: "post", Path: path}) == authorizer.DecisionAllow {
				t.Errorf("%s may post to %s", u.GetName(), path)
			}
		}
	}
}

// Whoever is no node gets nothing here, and no denial either: another authorizer
// may allow what this one does not know.
func TestOthers(t *testing.T) {
	read := authorizer.AttributesRecord{ResourceRequest: true, Verb: "get", APIGroup: epic.GroupName, APIVersion: "v1", Namespace: "epic-acme", Resource: "loadbalancers", Name: "shop"}
	for _, u := range []user.Info{
		nil,
		&user.DefaultInfo{Name: "jane"},
		&user.DefaultInfo{Name: "jane", Groups: []string{nodeidentity.Group}},
		&user.DefaultInfo{Name: "epic:node:192.0.2.1"},
		&user.DefaultInfo{Name: "epic:node:::ffff:192.0.2.1", Groups: []string{nodeidentity.Group}},
		&user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.exporter"},
		&user.DefaultInfo{Name: "system:serviceaccount:epic-acme:deployer"},
		&user.DefaultInfo{Name: "system:serviceaccount:epic:node.192.0.2.16"},
		&user.DefaultInfo{Name: "system:anonymous"},
	} {
		if got := decide(t, u, read); got != authorizer.DecisionNoOpinion {
			t.Errorf("%v: %v", u, got)
		}
	}
}

// The reason that a user sees describes what is wrong with the credentials.
func TestReason(t *testing.T) {
	a := authorizer.AttributesRecord{User: &user.DefaultInfo{Name: "epic:node:192.0.2.1"}, ResourceRequest: true, Verb: "get", APIGroup: epic.GroupName, Resource: "loadbalancers"}
	_, reason, err := New(&nodeidentity.Identifier{}).Authorize(context.Background(), a)
	if err != nil || !strings.Contains(reason, "not in the group") {
		t.Errorf("%q, %v", reason, err)
	}
}
