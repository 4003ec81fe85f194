// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// formerFields are the managed fields of a gateway proxy from a release in which the
// public ports were a list with keys. Two managers have a port each.
const formerFields = `[
	{"manager": "one", "operation": "Apply", "apiVersion": "epic.acnodal.io/v1", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1":
		{"f:metadata": {"f:labels": {"f:epic.acnodal.io/owning-lbservicegroup": {}}}, "f:spec": {"f:display-name": {}, "f:public-ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}}}},
	{"manager": "two", "operation": "Apply", "apiVersion": "epic.acnodal.io/v1", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1":
		{"f:spec": {"f:public-ports": {"k:{\"port\":443,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}}}},
	{"manager": "edit", "operation": "Update", "apiVersion": "epic.acnodal.io/v1", "time": "2025-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1":
		{"f:spec": {"f:public-ports": {"k:{\"port\":443,\"protocol\":\"TCP\"}": {"f:appProtocol": {}}}}}}]`

// TestFormerListsCanBeApplied applies and updates an object whose managed fields name
// entries of a list that is written as a whole now.
func TestFormerListsCanBeApplied(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	c := newRawClient(t, server)
	for _, m := range minimal {
		if m.resource == "epics" || m.resource == "serviceprefixes" || m.resource == "accounts" || m.resource == "lbservicegroups" {
			object := fromYAML(t, m.yaml)
			object["apiVersion"] = epicv1.SchemeGroupVersion.String()
			body, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			namespace, _ := object["metadata"].(map[string]any)["namespace"].(string)
			c.do(t, http.MethodPost, path.Join(apiRoot, "namespaces", namespace, m.resource), "application/json", body)
		}
	}
	const (
		collection = apiRoot + "/namespaces/epic-one/gwproxies"
		one        = collection + "/gwp"
		head       = `"apiVersion": "epic.acnodal.io/v1", "kind": "GWProxy", "metadata": {"namespace": "epic-one", "name": "gwp", "labels": {"epic.acnodal.io/owning-lbservicegroup": "web"}}`
		http80     = `{"port": 80, "protocol": "TCP", "name": "http"}`
		https443   = `{"port": 443, "protocol": "TCP", "name": "https"}`
	)
	c.do(t, http.MethodPost, collection, "application/json", []byte(`{`+head+`, "spec": {"display-name": "web", "public-ports": [`+http80+`,`+https443+`]}}`))

	// Put the fields of the former release into the database: no write could.
	restoreFields := func() {
		scheme := runtime.NewScheme()
		install.Install(scheme)
		codecs := serializer.NewCodecFactory(scheme)
		etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = etcd.Close() }()
		const key = "/epic/epic.acnodal.io/gwproxies/epic-one/gwp"
		got, err := etcd.Get(t.Context(), key)
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		object := &epic.GWProxy{}
		if err := runtime.DecodeInto(codecs.UniversalDecoder(epic.SchemeGroupVersion), got.Kvs[0].Value, object); err != nil {
			t.Fatal(err)
		}
		object.ManagedFields = nil
		if err := json.Unmarshal([]byte(formerFields), &object.ManagedFields); err != nil {
			t.Fatal(err)
		}
		text, err := runtime.Encode(codecs.LegacyCodec(epicv1.SchemeGroupVersion), object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := etcd.Put(t.Context(), key, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	ports := func(answer []byte) string {
		var object epicv1.GWProxy
		if err := json.Unmarshal(answer, &object); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range object.Spec.PublicPorts {
			names = append(names, p.Name)
		}
		return strings.Join(names, " ")
	}
	apply := func(manager, query, list string) (int, []byte) {
		return c.try(t, http.MethodPatch, one+"?fieldManager="+manager+query, string(types.ApplyYAMLPatchType), []byte(`{`+head+`, "spec": {"display-name": "web", "public-ports": [`+list+`]}}`))
	}

	// Each manager, one that has a part of the list or a new one, gets the list as it
	// applies it, and can apply it again.
	for name, test := range map[string]struct {
		manager, query, list, want string
	}{
		"the whole list":           {"one", "", http80 + "," + https443, "http https"},
		"the whole list, by force": {"one", "&force=true", https443, "https"},
		"somebody new":             {"three", "", http80 + "," + https443, "http https"},
		"somebody new, by force":   {"three", "&force=true", http80, "http"},
	} {
		t.Run(name, func(t *testing.T) {
			c.do(t, http.MethodPatch, one, string(types.MergePatchType), []byte(`{"spec": {"public-ports": [`+http80+`,`+https443+`]}}`))
			restoreFields()
			code, answer := apply(test.manager, test.query, test.list)
			if code != http.StatusOK || ports(answer) != test.want {
				t.Fatalf("%d %s", code, answer)
			}
			if again, answer := apply(test.manager, test.query, test.list); again != http.StatusOK || ports(answer) != test.want {
				t.Errorf("again: %d %s", again, answer)
			}
		})
	}
	t.Run("an update", func(t *testing.T) {
		restoreFields()
		got := c.do(t, http.MethodGet, one, "", nil)
		c.do(t, http.MethodPut, one, "application/json", got)
		answer := c.do(t, http.MethodPatch, one, string(types.StrategicMergePatchType), []byte(`{"spec": {"public-ports": [`+https443+`]}}`))
		if ports(answer) != "https" {
			t.Errorf("%s", answer)
		}
	})
}
