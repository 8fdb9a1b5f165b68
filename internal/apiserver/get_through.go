package apiserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
)

// getThrough gives an object as the watch cache has it, if good says that it will do. Otherwise it asks the store: what
// the cache has not seen yet may have been made a moment ago.
func getThrough[T object](ctx context.Context, store *registry.Store, namespace, name string, good func(T) bool) (T,
	error) {
	if cached, err := getCached[T](ctx, store, namespace, name); err == nil && good(cached) {
		return cached, nil
	}
	return getStored[T](ctx, store, namespace, name)
}

func getCached[T object](ctx context.Context, store *registry.Store, namespace, name string) (T, error) {
	return getAs[T](ctx, store, namespace, name, &metav1.GetOptions{ResourceVersion: "0"})
}

func getStored[T object](ctx context.Context, store *registry.Store, namespace, name string) (T, error) {
	return getAs[T](ctx, store, namespace, name, &metav1.GetOptions{})
}

func getAs[T object](ctx context.Context, store *registry.Store, namespace, name string, options *metav1.GetOptions) (T,
	error) {
	resource := store.DefaultQualifiedResource // or "not found" would be said of what the request is about
	ctx = apirequest.WithRequestInfo(ctx, &apirequest.RequestInfo{IsResourceRequest: true, APIGroup: resource.Group,
		Resource: resource.Resource})
	obj, err := store.Get(withNamespace(ctx, namespace), name, options)
	if err != nil {
		var none T
		return none, err
	}
	return obj.(T), nil // a store has objects of one type
}
