// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// storedResources is where the kube-apiserver keeps the custom resources.
const storedResources = "/registry/bench.acnodal.io/loadbalancers/"

// fill makes objects, from number first on, that are only to be there. EPIC's go
// straight to its server, which has to assign what is theirs. Custom resources go
// straight into etcd, in the form in which the kube-apiserver stored the first.
func (s *scaled) fill(ctx context.Context, first int, objects []*epicv1.LoadBalancer) error {
	if len(objects) == 0 {
		return nil
	}
	if _, _, err := s.loadChunk(ctx, s.epic.direct, first, objects); err != nil {
		return err
	}
	model, err := s.storedModel(ctx)
	if err != nil {
		return err
	}
	return parallel(ctx, loaders, len(objects), func(ctx context.Context, i int) error {
		lb := s.alike(s.resources, objects[i])
		text, err := model.stored(lb)
		if err != nil {
			return err
		}
		_, err = s.plain.etcd.client.Put(ctx, storedResources+lb.Namespace+"/"+lb.Name, string(text))
		return err
	})
}

// model is a custom resource as the kube-apiserver stored it.
type model struct {
	metadata map[string]json.RawMessage
	nodes    []string
}

func (s *scaled) storedModel(ctx context.Context) (*model, error) {
	namespace, name := s.place(0)
	resp, err := s.plain.etcd.client.Get(ctx, storedResources+namespace+"/"+name)
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, errors.New("the first custom resource is not in etcd")
	}
	var stored struct {
		Metadata map[string]json.RawMessage `json:"metadata"`
		Status   epicv1.ProxyStatus         `json:"status"`
	}
	if err := json.Unmarshal(resp.Kvs[0].Value, &stored); err != nil {
		return nil, fmt.Errorf("read the first custom resource: %w", err)
	}
	return &model{stored.Metadata, nodesOf(&stored.Status)}, nil
}

// nodesOf returns the addresses that stand in an object's field names: those of
// the client nodes, each followed by those of its gateway nodes.
func nodesOf(status *epicv1.ProxyStatus) []string {
	var nodes []string
	for _, tenant := range slices.Sorted(maps.Keys(status.GUETunnelEndpoints)) {
		nodes = append(nodes, tenant)
		nodes = append(nodes, slices.Sorted(maps.Keys(status.GUETunnelEndpoints[tenant].EPICEndpoints))...)
	}
	return nodes
}

// stored returns an object in the stored form, with managed fields that name its
// own addresses.
func (m *model) stored(lb *epicv1.LoadBalancer) ([]byte, error) {
	metadata := maps.Clone(m.metadata)
	for key, value := range map[string]any{"name": lb.Name, "namespace": lb.Namespace, "labels": lb.Labels, "uid": uuid.NewUUID()} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		metadata[key] = text
	}
	var pairs []string
	for i, node := range nodesOf(&lb.Status) {
		pairs = append(pairs, `"f:`+m.nodes[i]+`"`, `"f:`+node+`"`)
	}
	metadata["managedFields"] = json.RawMessage(strings.NewReplacer(pairs...).Replace(string(metadata["managedFields"])))
	return json.Marshal(map[string]any{"apiVersion": lb.APIVersion, "kind": lb.Kind, "metadata": metadata, "spec": lb.Spec, "status": lb.Status})
}
