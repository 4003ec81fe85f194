// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"path"
	"reflect"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicfuzzer "github.com/acnodal/epic/pkg/apis/epic/fuzzer"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// rawClient sends requests and shows the answers as they are.
type rawClient struct {
	host string
	http *http.Client
}

func newRawClient(t *testing.T, server *apiservertesting.TestServer) *rawClient {
	t.Helper()
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &rawClient{host: server.Config.Host, http: client}
}

// send sends a request and returns the open answer.
func (c *rawClient) send(t *testing.T, method, at, contentType string, body []byte) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, c.host+at, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// try returns the answer to a request, whatever it is.
func (c *rawClient) try(t *testing.T, method, at, contentType string, body []byte) (int, []byte) {
	t.Helper()
	response := c.send(t, method, at, contentType, body)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// do returns the answer to a request that must succeed.
func (c *rawClient) do(t *testing.T, method, at, contentType string, body []byte) []byte {
	t.Helper()
	status, answer := c.try(t, method, at, contentType, body)
	if status >= http.StatusBadRequest {
		t.Fatalf("%s %s: %d %s", method, at, status, value(t, answer)["message"])
	}
	return answer
}

// first returns the first event of a watch.
func (c *rawClient) first(t *testing.T, at string) map[string]any {
	t.Helper()
	response := c.send(t, http.MethodGet, at+"?watch=1&resourceVersion=0&timeoutSeconds=60", "", nil)
	defer response.Body.Close()
	var event json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&event); err != nil {
		t.Fatalf("The watch of %s: %v", at, err)
	}
	return value(t, event)
}

// value decodes an answer with integers as such.
func value(t *testing.T, answer []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := utiljson.Unmarshal(answer, &out); err != nil {
		t.Fatalf("%v in %.1000s", err, answer)
	}
	return out
}

// apiRoot is where the server serves our kinds.
const apiRoot = "/apis/epic.acnodal.io/v1"

// TestAnswersSatisfyTheSchema creates an object of every kind, with as little and with
// as much in it as the server takes, and validates every answer against the OpenAPI
// documents that the same server serves. A strict client, such as one that is generated
// from them, then understands every answer.
func TestAnswersSatisfyTheSchema(t *testing.T) {
	t.Parallel()
	type sample struct{ resource, object, status string }
	sets := map[string][]sample{}
	for _, m := range minimal {
		sets["minimal"] = append(sets["minimal"], sample{m.resource, m.yaml, `{}`})
	}
	for _, f := range full {
		sets["full"] = append(sets["full"], sample(f))
	}
	for name, samples := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := apiservertesting.StartTestServer(t)
			c := newRawClient(t, server)
			served := servedDocuments(t, c)
			for _, s := range samples {
				createAndCheck(t, c, served, s.resource, fromYAML(t, s.object), fromYAML(t, s.status))
			}
			for at, kind := range map[string]string{
				"/namespaces/epic/epics/epic/audit":                "ClaimAudit",
				"/namespaces/epic-one/loadbalancers/lb/tunnelkeys": "TunnelKeys",
				"/namespaces/epic-one/gwproxies/gwp/tunnelkeys":    "TunnelKeys",
			} {
				served.check(t, at, modelPrefix+kind, value(t, c.do(t, http.MethodGet, apiRoot+at, "", nil)))
			}
		})
	}
}

// fromYAML reads a sample strictly.
func fromYAML(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := yaml.UnmarshalStrict([]byte(parts.Replace(text)), &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// createAndCheck creates an object and validates the answers of everything that clients
// do with it.
func createAndCheck(t *testing.T, c *rawClient, served documents, resource string, object, status map[string]any) {
	t.Helper()
	encode := func(v any) []byte {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	o := unstructured.Unstructured{Object: object}
	o.SetAPIVersion(epicv1.SchemeGroupVersion.String())
	kind := o.GetKind()
	all := apiRoot + "/" + resource
	collection := path.Join(apiRoot, "namespaces", o.GetNamespace(), resource)
	one := path.Join(collection, o.GetName())
	const strict = "?fieldValidation=Strict"

	check := func(what, model string, answer []byte) {
		served.check(t, what+" "+kind, model, value(t, answer))
	}
	check("create", modelPrefix+kind, c.do(t, http.MethodPost, collection+strict, "application/json", encode(object)))
	check("a patch of the status of", modelPrefix+kind, c.do(t, http.MethodPatch, one+"/status"+strict, string(types.MergePatchType), encode(map[string]any{"status": status})))
	now := c.do(t, http.MethodGet, one, "", nil)
	check("get", modelPrefix+kind, now)
	check("update", modelPrefix+kind, c.do(t, http.MethodPut, one+strict, "application/json", now))
	check("apply", modelPrefix+kind, c.do(t, http.MethodPatch, one+strict+"&fieldManager=test&force=true", string(types.ApplyYAMLPatchType), encode(object)))
	check("list", modelPrefix+kind+"List", c.do(t, http.MethodGet, collection, "", nil))
	check("list all", modelPrefix+kind+"List", c.do(t, http.MethodGet, all, "", nil))
	check("list none of", modelPrefix+kind+"List", c.do(t, http.MethodGet, collection+"?labelSelector=no=such", "", nil))
	event := c.first(t, collection)
	if event["type"] != "ADDED" {
		t.Errorf("the watch of %s begins with %v", resource, event)
	}
	served.check(t, "watch "+kind, eventModel, event)
	served.check(t, "what a watch sends of "+kind, modelPrefix+kind, event["object"])

	code, answer := c.try(t, http.MethodPost, collection, "application/json", encode(object))
	if code != http.StatusConflict {
		t.Errorf("Creating %s again: %d %s", kind, code, answer)
	}
	check("creating again", statusModel, answer)
	_, answer = c.try(t, http.MethodGet, one+"-none", "", nil)
	check("reading what is not there of", statusModel, answer)
	// The answer to a deletion is what the object was, or a Status.
	code, answer = c.try(t, http.MethodDelete, one+"?dryRun=All", "", nil)
	if deleted := value(t, answer); deleted["kind"] == kind {
		check("delete", modelPrefix+kind, answer)
	} else {
		check(fmt.Sprintf("delete (%d)", code), statusModel, answer)
	}
}

// TestStoredObjectsSatisfyTheSchema stores random objects of every kind, past every rule
// of a write, as a former release with other rules may have left them, and validates
// what is read.
func TestStoredObjectsSatisfyTheSchema(t *testing.T) {
	t.Parallel()
	const each = 20
	server := apiservertesting.StartTestServer(t)
	c := newRawClient(t, server)
	served := servedDocuments(t, c)
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()

	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	seed := rand.Int63()
	t.Logf("the seed is %d", seed)
	fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, epicfuzzer.Funcs), rand.NewSource(seed), codecs)
	goTypes := scheme.KnownTypes(epic.SchemeGroupVersion)
	for _, m := range minimal {
		kind := fromYAML(t, m.yaml)["kind"].(string)
		collection := path.Join(apiRoot, "namespaces", "epic-fuzz", m.resource)
		for i := range each {
			object := reflect.New(goTypes[kind]).Interface().(runtime.Object)
			fill.Fill(object)
			meta := object.(metav1.Object)
			meta.SetNamespace("epic-fuzz")
			meta.SetName(fmt.Sprintf("fuzz-%d", i))
			// The server acts on these. An object without a UID is to it one that does
			// not exist yet.
			meta.SetUID(uuid.NewUUID())
			meta.SetResourceVersion("")
			meta.SetDeletionTimestamp(nil)
			meta.SetOwnerReferences(nil)
			text, err := runtime.Encode(codecs.LegacyCodec(epicv1.SchemeGroupVersion), object)
			if err != nil {
				t.Fatal(err)
			}
			key := path.Join("/epic/epic.acnodal.io", m.resource, "epic-fuzz", meta.GetName())
			if _, err := etcd.Put(t.Context(), key, string(text)); err != nil {
				t.Fatal(err)
			}
			// A quorum read, so the list below has it from the watch cache too.
			served.check(t, "get "+kind, modelPrefix+kind, value(t, c.do(t, http.MethodGet, path.Join(collection, meta.GetName()), "", nil)))
		}
		list := value(t, c.do(t, http.MethodGet, collection, "", nil))
		if items, _ := list["items"].([]any); len(items) != each {
			t.Errorf("%d of %d %s are listed", len(items), each, m.resource)
		}
		served.check(t, "list "+kind, modelPrefix+kind+"List", list)
		served.check(t, "watch "+kind, modelPrefix+kind, c.first(t, collection)["object"])
	}
}
