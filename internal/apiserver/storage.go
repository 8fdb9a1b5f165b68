package apiserver

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
	"viaduct/internal/apiserver/store"
)

// storageFactory makes the storage of each resource over one etcd: protobuf, under the keys that kube-apiserver uses.
type storageFactory struct {
	schemes *schemes
	etcd    *store.Store
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (f *storageFactory) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	codec, err := f.codec(resource)
	if err != nil {
		return generic.RESTOptions{}, err
	}
	cfg := storagebackend.NewDefaultConfig("/registry", codec)
	cfg.EventsHistoryWindow = 75 * time.Second
	return generic.RESTOptions{
		StorageConfig:           cfg.ForResource(resource),
		Decorator:               f.decorate,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 4,
		ResourcePrefix:          etcdPrefix(resource),
	}, nil
}

// etcdPrefix is where kube-apiserver keeps a resource, so that either could read the other's store.
func etcdPrefix(resource schema.GroupResource) string {
	switch resource.Resource {
	case "services":
		return "services/specs"
	case "endpoints":
		return "services/endpoints"
	case "nodes":
		return "minions"
	}
	return resource.Resource
}

func (f *storageFactory) codec(resource schema.GroupResource) (runtime.Codec, error) {
	stored := schema.GroupVersion{Group: resource.Group, Version: "v1"}
	codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  runtime.ContentTypeProtobuf,
		StorageSerializer: f.schemes.codecs,
		StorageVersion:    stored,
		MemoryVersion:     schema.GroupVersion{Group: resource.Group, Version: runtime.APIVersionInternal},
	})
	return codec, err
}

// decorate implements generic.StorageDecorator: etcd behind a watch cache.
func (f *storageFactory) decorate(
	config *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error),
	newFunc, newListFunc func() runtime.Object, attrs apistorage.AttrFunc, trigger apistorage.IndexerFuncs,
	indexers *cache.Indexers,
) (apistorage.Interface, factory.DestroyFunc, error) {
	versioner := apistorage.APIObjectVersioner{}
	raw, err := etcd3.New(f.etcd.Client(), f.etcd.Compactor(), config.Codec, newFunc, newListFunc, config.Prefix, prefix,
		config.GroupResource,
		identity.NewEncryptCheckTransformer(), config.LeaseManagerConfig, etcd3.NewDefaultDecoder(config.Codec, versioner),
		versioner)
	if err != nil {
		return nil, nil, err
	}
	cached, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: sharing{raw}, Versioner: versioner, GroupResource: config.GroupResource,
		EventsHistoryWindow: config.EventsHistoryWindow,
		ResourcePrefix:      prefix, KeyFunc: keyFunc, NewFunc: newFunc, NewListFunc: newListFunc, GetAttrsFunc: attrs,
		IndexerFuncs: trigger, Indexers: indexers, Codec: config.Codec,
	})
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	delegator := cacher.NewCacheDelegator(cached, raw)
	return delegator, func() { delegator.Stop(); cached.Stop(); raw.Close() }, nil
}
