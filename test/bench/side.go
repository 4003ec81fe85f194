// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	epicAPI     = "epic.acnodal.io/v1"
	resourceAPI = "bench.acnodal.io/v1"
)

// side is one of those that are compared: an API with load balancers in it, and
// the programs that serve it. All sides are written to and read by the same
// code, in JSON, since custom resources have no other encoding that both know.
type side struct {
	name string
	// api is the group and version.
	api    string
	client *rest.RESTClient
	// servers are all programs that work for a request, etcd among them.
	servers []*process
}

func newSide(name, api string, config *rest.Config, servers ...*process) (*side, error) {
	client, err := restClient(config)
	if err != nil {
		return nil, err
	}
	return &side{name: name, api: api, client: client, servers: servers}, nil
}

// restClient is a client of any path, which sends and takes bytes.
func restClient(config *rest.Config) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	// Responses are not decoded, except errors.
	c.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	c.ContentType, c.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	c.QPS = -1
	return rest.UnversionedRESTClientFor(c)
}

// path is that of a namespace's objects of one resource, or of all namespaces'.
func (s *side) path(namespace, resource string, more ...string) []string {
	p := []string{"apis", s.api}
	if namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	return append(append(p, resource), more...)
}

// create makes an object and reads the answer back into it.
func (s *side) create(ctx context.Context, namespace, resource string, obj any) error {
	return exchange(ctx, s.client.Post().AbsPath(s.path(namespace, resource)...), obj)
}

// get reads an object.
func (s *side) get(ctx context.Context, namespace, resource, name string, into any) error {
	answer, err := s.client.Get().AbsPath(s.path(namespace, resource, name)...).Do(ctx).Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// updateStatus writes an object's status and reads the answer back into it.
func (s *side) updateStatus(ctx context.Context, namespace, resource, name string, obj any) error {
	return exchange(ctx, s.client.Put().AbsPath(s.path(namespace, resource, name, "status")...), obj)
}

// patchStatus merges a patch into an object's status and returns the answer.
func (s *side) patchStatus(ctx context.Context, namespace, resource, name string, patch []byte) ([]byte, error) {
	return s.client.Patch(types.MergePatchType).AbsPath(s.path(namespace, resource, name, "status")...).Body(patch).Do(ctx).Raw()
}

// newLoadBalancer is an object of this side's kind.
func (s *side) newLoadBalancer(name string) *epicv1.LoadBalancer {
	lb := &epicv1.LoadBalancer{}
	lb.APIVersion, lb.Kind, lb.Name = s.api, "LoadBalancer", name
	return lb
}

func exchange(ctx context.Context, r *rest.Request, obj any) error {
	body, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	answer, err := r.Body(body).SetHeader("Content-Type", runtime.ContentTypeJSON).Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, obj); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	return nil
}
