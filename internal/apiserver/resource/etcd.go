package resource

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
	"viaduct/internal/apiserver/store"
)

// backend makes the storage of resources over one etcd: protobuf, under the keys that kube-apiserver uses, so that
// either server can read the other's data.
type backend struct {
	schemes *Schemes
	etcd    *store.Store
}

// watchHistory is how long the watch cache keeps old versions, for watches that resume.
const watchHistory = 75 * time.Second

func (d declared[T]) restOptions(e backend) (generic.RESTOptions, error) {
	codec, err := e.codec(d.kind.Group.Version)
	if err != nil {
		return generic.RESTOptions{}, err
	}
	cfg := storagebackend.NewDefaultConfig("/registry", codec)
	cfg.EventsHistoryWindow = watchHistory
	prefix := d.kind.Storing.Prefix
	if prefix == "" {
		prefix = d.resource.Resource
	}
	return generic.RESTOptions{
		StorageConfig:           cfg.ForResource(d.resource),
		Decorator:               e.decorator(d.kind.Storing.intern()),
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 4,
		ResourcePrefix:          prefix,
	}, nil
}

func (e backend) codec(version schema.GroupVersion) (runtime.Codec, error) {
	codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  runtime.ContentTypeProtobuf,
		StorageSerializer: e.schemes.Codecs,
		StorageVersion:    version,
		MemoryVersion:     schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal},
	})
	return codec, err
}

// decorator returns a generic.StorageDecorator: etcd behind a watch cache, whose versions of an object share memory by
// intern, if that is not nil.
func (e backend) decorator(intern func(obj, before Object)) generic.StorageDecorator {
	return func(config *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, trigger storage.IndexerFuncs,
		indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		versioner := storage.APIObjectVersioner{}
		raw, err := etcd3.New(e.etcd.Client(), e.etcd.Compactor(), config.Codec, newFunc, newListFunc, config.Prefix, prefix,
			config.GroupResource, identity.NewEncryptCheckTransformer(), config.LeaseManagerConfig,
			etcd3.NewDefaultDecoder(config.Codec, versioner), versioner)
		if err != nil {
			return nil, nil, err
		}
		watched := storage.Interface(raw)
		if intern != nil {
			watched = interning{raw, intern}
		}
		cached, err := cacher.NewCacherFromConfig(cacher.Config{
			Storage: watched, Versioner: versioner, GroupResource: config.GroupResource,
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
}
