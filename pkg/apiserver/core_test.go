// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// read reads a path as the administrator, with an Accept header, as JSON.
func read(t *testing.T, server *apiservertesting.TestServer, path, accept string, into any) (status int, contentType string) {
	t.Helper()
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Config.Host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s is no JSON: %v", path, err)
	}
	return response.StatusCode, response.Header.Get("Content-Type")
}

// Clients that read the core group before anything else find it, without content:
// Python's read every resource list, kubectl and JavaScript's the versions.
func TestCoreDiscovery(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)

	var versions metav1.APIVersions
	if status, _ := read(t, server, "/api", "", &versions); status != http.StatusOK || versions.Kind != "APIVersions" ||
		len(versions.Versions) != 1 || versions.Versions[0] != "v1" || len(versions.ServerAddressByClientCIDRs) == 0 {
		t.Errorf("/api: %d %+v", status, versions)
	}
	for _, path := range []string{"/api/v1", "/apis/epic.acnodal.io/v1"} {
		var resources map[string]any
		status, _ := read(t, server, path, "", &resources)
		list, isList := resources["resources"].([]any)
		if status != http.StatusOK || resources["kind"] != "APIResourceList" || !isList || (path == "/api/v1") != (len(list) == 0) {
			t.Errorf("%s: %d %v", path, status, resources)
		}
	}
	for _, path := range []string{"/api", "/apis"} {
		const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
		var groups map[string]any
		status, contentType := read(t, server, path, accept, &groups)
		if items, ok := groups["items"].([]any); status != http.StatusOK || groups["kind"] != "APIGroupDiscoveryList" || !ok || len(items) != 1 {
			t.Errorf("%s, aggregated: %d %v", path, status, groups)
		}
		if !strings.Contains(contentType, "as=APIGroupDiscoveryList") {
			t.Errorf("%s, aggregated, is of the type %q", path, contentType)
		}
	}

	for name, legacy := range map[string]bool{"aggregated": false, "legacy": true} {
		client, err := discovery.NewDiscoveryClientForConfig(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		client.UseLegacyDiscovery = legacy
		groups, resources, err := client.ServerGroupsAndResources()
		if err != nil || len(groups) != 2 || groups[0].Name != "" {
			t.Errorf("client-go, %s: %v, %v, %v", name, groups, resources, err)
		}
	}
}

// What does not exist is answered with a Status, whose reason clients read.
func TestUnknownPathsGetAStatus(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	for _, path := range []string{
		"/api/v1/namespaces/epic", "/api/v1/namespaces", "/api/v1/pods", "/api/v2", "/apis/apps/v1", "/apis/apps/v1/namespaces/epic/deployments",
		"/apis/epic.acnodal.io/v2", "/apis/epic.acnodal.io/v1/namespaces/none/loadbalancers/none", "/apis/epic.acnodal.io/v1/nothing", "/nothing",
	} {
		for _, accept := range []string{"", "application/json", "*/*", "text/html"} {
			var status metav1.Status
			code, _ := read(t, server, path, accept, &status)
			if code != http.StatusNotFound && code != http.StatusNotAcceptable || status.Kind != "Status" || status.Status != metav1.StatusFailure ||
				int(status.Code) != code || status.Reason == "" || status.Message == "" {
				t.Errorf("%s with Accept %q: %d %+v", path, accept, code, status)
			}
		}
	}
}

// kubectl, Helm and client-go parse the version and compare it with what they and
// charts support.
func TestVersion(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := utilversion.ParseSemantic(info.GitVersion)
	if err != nil {
		t.Fatalf("%q: %v", info.GitVersion, err)
	}
	if oldest := utilversion.MustParseSemantic("v1.25.0-0"); !parsed.AtLeast(oldest) || !strings.Contains(info.GitVersion, "+epic-") {
		t.Errorf("The version is %s", info.GitVersion)
	}
	if info.Major != "1" || utilversion.MustParseGeneric(info.Major+"."+info.Minor).Minor() != parsed.Minor() {
		t.Errorf("%s.%s goes with %s", info.Major, info.Minor, info.GitVersion)
	}
}
