// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"io"
	"path"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/registry/narrowwatch"
)

// Kinds maps each resource to its rules.
type Kinds map[string]Rules

// Slim removes the parts of an object of the storage version that v1 shows twice, so etcd
// need not store them.
type Slim func(obj runtime.Object) (runtime.Object, error)

// RESTOptionsGetter returns inner's options with the storage of this backend: one
// connection to etcd for all kinds, claims in every write, and a watch cache on top.
func (b *Backend) RESTOptionsGetter(inner generic.RESTOptionsGetter, kinds Kinds, slim Slim) generic.RESTOptionsGetter {
	return &restOptionsGetter{inner: inner, b: b, kinds: kinds, slim: slim}
}

type restOptionsGetter struct {
	inner generic.RESTOptionsGetter
	b     *Backend
	kinds Kinds
	slim  Slim
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *restOptionsGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	opts, err := g.inner.GetRESTOptions(resource, example)
	if err != nil {
		return opts, err
	}
	rules := g.kinds[resource.Resource]
	if rules == nil {
		return opts, fmt.Errorf("%s has no rules for its claims", resource)
	}
	opts.Decorator = func(cfg *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		raw, err := g.b.rawStorage(cfg, prefix, newFunc, newListFunc, rules, g.slim)
		if err != nil {
			return nil, nil, err
		}
		c, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage:             raw,
			Versioner:           storage.APIObjectVersioner{},
			GroupResource:       cfg.GroupResource,
			EventsHistoryWindow: cfg.EventsHistoryWindow,
			ResourcePrefix:      prefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        attrs,
			IndexerFuncs:        triggers,
			Indexers:            indexers,
			Codec:               cfg.Codec,
		})
		if err != nil {
			return nil, nil, err
		}
		delegator := cacher.NewCacheDelegator(c, raw)
		var once sync.Once
		return narrowwatch.New(delegator, prefix, newFunc, newListFunc), func() {
			once.Do(func() {
				delegator.Stop()
				c.Stop()
			})
		}, nil
	}
	return opts, nil
}

// rawStorage returns the etcd store of one kind with its claims, without a cache.
func (b *Backend) rawStorage(cfg *storagebackend.ConfigForResource, resourcePrefix string,
	newFunc, newListFunc func() runtime.Object, rules Rules, slim Slim,
) (storage.Interface, error) {
	transformer := cfg.Transformer
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	codec := cfg.Codec
	if slim != nil {
		codec = &slimCodec{Codec: codec, slim: slim}
	}
	versioner := storage.APIObjectVersioner{}
	decoder := etcd3.NewDefaultDecoder(codec, versioner)
	inner, err := etcd3.New(b.kube, b.compactor, codec, newFunc, newListFunc, cfg.Prefix, resourcePrefix,
		cfg.GroupResource, transformer, cfg.LeaseManagerConfig, decoder, versioner)
	if err != nil {
		return nil, err
	}
	k := &kind{
		resource: cfg.GroupResource.Resource,
		rules:    rules,
		newFunc:  newFunc,
		prefix:   path.Join("/", cfg.Prefix, resourcePrefix) + "/",
		decode: func(ctx context.Context, key string, data []byte, rev int64) (runtime.Object, error) {
			plain, _, err := transformer.TransformFromStorage(ctx, data, value.DefaultContext(key))
			if err != nil {
				return nil, err
			}
			obj := newFunc()
			return obj, decoder.Decode(plain, obj, rev)
		},
	}
	b.register(k)
	return &store{Interface: inner, b: b, kind: k}, nil
}

// slimCodec is a storage codec that applies Slim before it encodes.
type slimCodec struct {
	runtime.Codec
	slim Slim
}

// Encode implements runtime.Encoder.
func (c *slimCodec) Encode(obj runtime.Object, w io.Writer) error {
	obj, err := c.slim(obj)
	if err != nil {
		return err
	}
	return c.Codec.Encode(obj, w)
}
