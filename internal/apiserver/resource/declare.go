package resource

import (
	"fmt"
	"reflect"

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
)

// Declare adds a resource with its subresources to b. The Storage that it returns can be handed on at once; it works
// after Builder.Complete, which also returns the error of a kind that does not fit its group.
func Declare[T Object](b *Builder, k Kind[T]) Storage[T] {
	b.AddGroup(k.Group)
	types, err := typesOf[T](b.schemes.Types, k.Group.Version)
	if err != nil {
		b.fail(fmt.Errorf("declaring %s: %w", k.Names.Plural, err))
		return Storage[T]{deleted: &observers[T]{}} // Complete fails
	}
	if k.Rules.Default != nil {
		AddDefaults(b, types.newObject().(T), k.Rules.Default)
	}
	d := declared[T]{kind: k, types: types, resource: k.resource(),
		plain: strategy[T]{ObjectTyper: b.schemes.Types, NameGenerator: names.SimpleNameGenerator, kind: k}}
	if k.Selection.Fields != nil {
		b.fail(d.allowFieldSelectors(b.schemes.Types))
	}
	s := Storage[T]{Main: d.newStore(), Scheme: b.schemes.Types, deleted: &observers[T]{}}
	s.Main.AfterDelete = s.deleted.afterDelete
	if k.Storing.Customize != nil {
		k.Storing.Customize(s.Main)
	}
	main := &REST{Store: s.Main, names: k.Names}
	served := rest.Storage(main)
	if k.Serving.Wrap != nil {
		served = k.Serving.Wrap(main)
	}
	b.serve(Served{GroupResource: d.resource, Kind: types.kind, Namespaced: !k.ClusterScoped, Storage: served,
		New: types.newObject, UserRoles: k.UserRoles})
	if k.Status != nil {
		status := subresourceStrategy[T]{d.plain, k.Status}
		s.Status = &registry.Store{}
		b.Add(d.resource, "status", statusREST{subresourceREST{s.Status}, status})
	}
	if k.Finalize != nil {
		s.Finalize = &registry.Store{}
		b.Add(d.resource, "finalize", subresourceREST{s.Finalize})
	}
	b.stores = append(b.stores, s.Main)
	b.complete = append(b.complete, func(e backend) error { return d.complete(e, s) })
	return s
}

func (k Kind[T]) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group.Version.Group, Resource: k.Names.Plural}
}

// goTypes are the registered types of a kind.
type goTypes struct {
	kind         string // such as "Pod"
	object, list reflect.Type
}

func (t goTypes) newObject() runtime.Object {
	return reflect.New(t.object).Interface().(runtime.Object)
}
func (t goTypes) newList() runtime.Object { return reflect.New(t.list).Interface().(runtime.Object) }

// typesOf looks up T, and the type of its lists, in one version.
func typesOf[T Object](scheme *runtime.Scheme, version schema.GroupVersion) (goTypes, error) {
	object := reflect.TypeFor[T]().Elem()
	gvks, _, err := scheme.ObjectKinds(reflect.New(object).Interface().(T))
	if err != nil {
		return goTypes{}, err
	}
	for _, gvk := range gvks {
		if gvk.GroupVersion() != version {
			continue
		}
		list, err := scheme.New(version.WithKind(gvk.Kind + "List"))
		if err != nil {
			return goTypes{}, err
		}
		return goTypes{kind: gvk.Kind, object: object, list: reflect.TypeOf(list).Elem()}, nil
	}
	return goTypes{}, fmt.Errorf("%s is not a type of %s", object, version)
}

// declared is a kind with what follows from it.
type declared[T Object] struct {
	kind     Kind[T]
	types    goTypes
	resource schema.GroupResource
	plain    strategy[T]
}

func (d declared[T]) newStore() *registry.Store {
	store := &registry.Store{
		NewFunc:                   d.types.newObject,
		NewListFunc:               d.types.newList,
		DefaultQualifiedResource:  d.resource,
		SingularQualifiedResource: schema.GroupResource{Group: d.resource.Group, Resource: d.kind.Names.Singular},
		CreateStrategy:            d.plain,
		UpdateStrategy:            d.plain,
		DeleteStrategy:            d.plain,
		ResetFieldsStrategy:       d.plain,
		TableConvertor:            d.kind.Serving.Table,
	}
	if store.TableConvertor == nil {
		store.TableConvertor = rest.NewDefaultTableConvertor(d.resource)
	}
	if d.kind.Rules.Graceful != nil {
		store.DeleteStrategy = gracefulStrategy[T]{d.plain}
		store.ReturnDeletedObject = true
	}
	if ttl := d.kind.Storing.TTL; ttl > 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return ttl, nil }
	}
	return store
}

// complete connects the stores of a resource to etcd and fills their watch cache. The subresources share it.
func (d declared[T]) complete(e backend, s Storage[T]) error {
	rest, err := d.restOptions(e)
	if err != nil {
		return fmt.Errorf("finding the codec of %s: %w", d.resource, err)
	}
	options := &generic.StoreOptions{RESTOptions: rest, AttrFunc: d.attrs}
	if d.kind.Selection.Index != "" {
		d.addIndex(s.Main, options)
	}
	if err := s.Main.CompleteWithOptions(options); err != nil {
		return fmt.Errorf("preparing the storage of %s: %w", d.resource, err)
	}
	if s.Status != nil {
		status := subresourceStrategy[T]{d.plain, d.kind.Status}
		*s.Status = *s.Main
		s.Status.UpdateStrategy, s.Status.ResetFieldsStrategy, s.Status.BeginUpdate = status, status, nil
	}
	if s.Finalize != nil {
		*s.Finalize = *s.Main
		s.Finalize.UpdateStrategy, s.Finalize.ResetFieldsStrategy = subresourceStrategy[T]{d.plain, d.kind.Finalize}, nil
		s.Finalize.BeginUpdate = nil
	}
	return nil
}

// attrs returns what selectors are matched against: the labels and the selectable fields.
func (d declared[T]) attrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	o, ok := obj.(T)
	if !ok {
		return nil, nil, d.wrongType(obj)
	}
	set := fields.Set{}
	if d.kind.Selection.Fields != nil {
		set = d.kind.Selection.Fields(o)
	}
	set["metadata.name"] = o.GetName()
	if !d.kind.ClusterScoped {
		set["metadata.namespace"] = o.GetNamespace()
	}
	return o.GetLabels(), set, nil
}

func (d declared[T]) wrongType(obj any) error {
	return fmt.Errorf("%T is not one of the %s", obj, d.resource)
}

func (d declared[T]) addIndex(store *registry.Store, options *generic.StoreOptions) {
	index := d.kind.Selection.Index
	value := func(obj runtime.Object) string { return d.kind.Selection.Fields(obj.(T))[index] }
	options.TriggerFunc = storage.IndexerFuncs{index: value}
	options.Indexers = &cache.Indexers{storage.FieldIndex(index): func(obj any) ([]string, error) {
		o, ok := obj.(T)
		if !ok {
			return nil, d.wrongType(obj)
		}
		return []string{value(o)}, nil
	}}
	store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: d.attrs, IndexFields: []string{index}}
	}
}

// allowFieldSelectors registers the field selectors that request handlers accept.
func (d declared[T]) allowFieldSelectors(scheme *runtime.Scheme) error {
	allowed := d.kind.Selection.Fields(d.types.newObject().(T))
	convert := func(label, value string) (string, string, error) {
		if _, ok := allowed[label]; ok || label == "metadata.name" || label == "metadata.namespace" {
			return label, value, nil
		}
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
	return scheme.AddFieldLabelConversionFunc(d.kind.Group.Version.WithKind(d.types.kind), convert)
}

// observers are called after deletions.
type observers[T Object] struct{ all []func(T) }

func (o *observers[T]) afterDelete(obj runtime.Object, options *metav1.DeleteOptions) {
	if len(options.DryRun) > 0 {
		return
	}
	for _, observe := range o.all {
		observe(obj.(T))
	}
}
