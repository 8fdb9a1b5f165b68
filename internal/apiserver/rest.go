package apiserver

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// resourceREST serves one resource.
type resourceREST struct {
	*registry.Store
	shortNames, categories []string
}

func (r *resourceREST) ShortNames() []string { return r.shortNames }
func (r *resourceREST) Categories() []string { return r.categories }

// Create implements rest.Creater. That a new object has a version already is the client's fault; the library leaves the
// error as it comes from the storage, which clients would see as a fault of the server's: 500.
func (r *resourceREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	made, err := r.Store.Create(ctx, obj, validate, options)
	if errors.Is(err, storage.ErrResourceVersionSetOnCreate) {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return made, err
}

// Update implements rest.Updater.
func (r *resourceREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.Store.Update(ctx, name, clientsWish{obj}, create, update, forceCreate, options)
}

// clientsWish is what a client wants an object to become. Where the library cannot work out a patch it sometimes
// answers with an error that is no API error, which a client would see as a fault of the server's: 500.
type clientsWish struct{ rest.UpdatedObjectInfo }

// UpdatedObject implements rest.UpdatedObjectInfo.
func (w clientsWish) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := w.UpdatedObjectInfo.UpdatedObject(ctx, old)
	var known apierrors.APIStatus
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return obj, err
}

// statusREST serves the status subresource of a resource.
type statusREST struct {
	store *registry.Store
	reset rest.ResetFieldsStrategy
}

func (r *statusREST) New() runtime.Object { return r.store.New() }
func (r *statusREST) Destroy()            {} // the store belongs to the main resource

func (r *statusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

func (r *statusREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	// a status alone never creates its object
	return r.store.Update(ctx, name, clientsWish{obj}, create, update, false, options)
}

func (r *statusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.reset.GetResetFields()
}

func (r *statusREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}

// install makes the storage of k and adds it, with its status subresource, to group. The store comes back for what the
// server itself reads and writes.
func install[T object](b *builder, k kind[T]) (*registry.Store, error) {
	plain := strategy[T]{ObjectTyper: b.schemes.types, NameGenerator: names.SimpleNameGenerator, kind: k}
	store := newStore(b.schemes.types, k, plain)
	if k.attach != nil {
		k.attach(store)
	}
	attrs := attrsOf(k)
	options := &generic.StoreOptions{RESTOptions: b.storage, AttrFunc: attrs}
	if k.indexed != "" {
		addIndex(store, options, k, attrs)
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("preparing the storage of %s: %w", k.resource, err)
	}
	allowFieldSelectors(b.schemes.types, k)
	b.add(k.resource, "", &resourceREST{Store: store, shortNames: k.shortNames, categories: k.categories})
	if k.status != nil {
		status := statusStrategy[T]{plain}
		statusStore := *store
		statusStore.UpdateStrategy, statusStore.ResetFieldsStrategy = status, status
		statusStore.BeginUpdate = nil
		b.add(k.resource, "status", &statusREST{store: &statusStore, reset: status})
	}
	return store, nil
}

func newStore[T object](typer runtime.ObjectTyper, k kind[T], plain strategy[T]) *registry.Store {
	store := &registry.Store{
		NewFunc:                   func() runtime.Object { return k.newObject() },
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  k.resource,
		SingularQualifiedResource: schema.GroupResource{Group: k.resource.Group, Resource: k.singular},
		CreateStrategy:            plain,
		UpdateStrategy:            plain,
		DeleteStrategy:            plain,
		ResetFieldsStrategy:       plain,
		TableConvertor:            k.table,
	}
	if k.table == nil {
		store.TableConvertor = rest.NewDefaultTableConvertor(k.resource)
	}
	if k.graceful != nil {
		store.DeleteStrategy = gracefulStrategy[T]{plain}
		store.ReturnDeletedObject = true
	}
	if k.ttl > 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return k.ttl, nil }
	}
	return store
}

// attrsOf returns what selectors are matched against: the labels, and the selectable fields.
func attrsOf[T object](k kind[T]) storage.AttrFunc {
	return func(obj runtime.Object) (labels.Set, fields.Set, error) {
		o, ok := obj.(T)
		if !ok {
			return nil, nil, fmt.Errorf("%T is not one of the %s", obj, k.resource)
		}
		set := fields.Set{}
		if k.selectable != nil {
			set = k.selectable(o)
		}
		set["metadata.name"] = o.GetName()
		if !k.clusterWide {
			set["metadata.namespace"] = o.GetNamespace()
		}
		return o.GetLabels(), set, nil
	}
}

func addIndex[T object](store *registry.Store, options *generic.StoreOptions, k kind[T], attrs storage.AttrFunc) {
	value := func(obj runtime.Object) string { return k.selectable(obj.(T))[k.indexed] }
	options.TriggerFunc = storage.IndexerFuncs{k.indexed: value}
	options.Indexers = &cache.Indexers{storage.FieldIndex(k.indexed): func(obj any) ([]string, error) {
		o, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("%T is not one of the %s", obj, k.resource)
		}
		return []string{value(o)}, nil
	}}
	store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attrs, IndexFields: []string{k.indexed}}
	}
}

// allowFieldSelectors tells the request handlers which field selectors to accept.
func allowFieldSelectors[T object](types *runtime.Scheme, k kind[T]) {
	if k.selectable == nil {
		return
	}
	allowed := k.selectable(k.newObject())
	gvks, _, err := types.ObjectKinds(k.newObject())
	if err != nil {
		panic(fmt.Sprintf("the type of %s is not registered: %v", k.resource, err))
	}
	for _, gvk := range gvks {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		convert := func(label, value string) (string, string, error) {
			if _, ok := allowed[label]; ok || label == "metadata.name" || label == "metadata.namespace" {
				return label, value, nil
			}
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
		if err := types.AddFieldLabelConversionFunc(gvk, convert); err != nil {
			panic(fmt.Sprintf("registering the field selectors of %s: %v", k.resource, err))
		}
	}
}
