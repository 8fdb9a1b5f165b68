package apiserver

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"viaduct/internal/apiserver/resource"
)

type object = resource.Object

// kind says all that is particular to one API resource. What a field leaves out has the plain behaviour: no
// preparation, no rule beyond those of object metadata, no warning, PUT does not create.
type kind[T object] struct {
	resource    schema.GroupResource
	singular    string
	shortNames  []string
	categories  []string
	clusterWide bool // not in a namespace

	newObject func() T
	newList   func() runtime.Object

	prepareCreate  func(ctx context.Context, obj T)
	prepareUpdate  func(ctx context.Context, obj, old T)
	validate       func(obj T) field.ErrorList
	validateUpdate func(obj, old T) field.ErrorList
	warn           func(obj, old T) []string // old is nil where obj is new

	createOnUpdate bool // PUT to a missing name creates it
	unconditional  bool // PUT without a resourceVersion is allowed

	// selectable gives the fields that a field selector may name, beside metadata.name and metadata.namespace. It is the
	// one place that says so: what is allowed is what it returns for an empty object.
	selectable func(obj T) fields.Set
	// indexed is the selectable field that lists and watches are served by without a scan; empty for none.
	indexed string

	// status holds the rules of the status subresource; nil where there is none.
	status *statusKind[T]
	// graceful decides whether a delete request only marks obj, to be removed by another request later; nil for never.
	graceful func(obj T, options *metav1.DeleteOptions) bool
	// attach hooks what else is to happen to the store; nil for nothing. The status subresource has the same hooks but for
	// BeginUpdate.
	attach func(store *registry.Store)
	table  rest.TableConvertor // kubectl's columns; nil: name and age
	// ttl is how long an object is kept, in seconds; 0 for ever.
	ttl uint64
}

// statusKind says what a write to the status subresource may do.
type statusKind[T object] struct {
	prepareUpdate  func(obj, old T) // restores whatever is not status
	validateUpdate func(obj, old T) field.ErrorList
	warn           func(obj, old T) []string
	// reset are the fields, beside spec, that prepareUpdate restores: paths with dots.
	reset []string
}

// strategy adapts a kind to the interfaces of k8s.io/apiserver's registry.
type strategy[T object] struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind kind[T]
}

func (s strategy[T]) NamespaceScoped() bool                         { return !s.kind.clusterWide }
func (s strategy[T]) AllowCreateOnUpdate(context.Context) bool      { return s.kind.createOnUpdate }
func (s strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return s.kind.unconditional }
func (s strategy[T]) Canonicalize(runtime.Object)                   {}

func (s strategy[T]) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	if s.kind.prepareCreate != nil {
		s.kind.prepareCreate(ctx, obj.(T))
	}
}

func (s strategy[T]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.kind.prepareUpdate != nil {
		s.kind.prepareUpdate(ctx, obj.(T), old.(T))
	}
}

func (s strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	if s.kind.validate == nil {
		return nil
	}
	return s.kind.validate(obj.(T))
}

func (s strategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.validateUpdate == nil {
		return nil
	}
	return s.kind.validateUpdate(obj.(T), old.(T))
}

func (s strategy[T]) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	if s.kind.warn == nil {
		return nil
	}
	var none T
	return s.kind.warn(obj.(T), none)
}

func (s strategy[T]) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.kind.warn == nil {
		return nil
	}
	return s.kind.warn(obj.(T), old.(T))
}

// GetResetFields names the fields that a client cannot own by writing the main resource: those of its status
// subresource.
func (s strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.kind.status == nil {
		return nil
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{s.apiVersion(): fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}

func (s strategy[T]) apiVersion() fieldpath.APIVersion {
	return fieldpath.APIVersion(s.kind.resource.WithVersion("v1").GroupVersion().String())
}

// gracefulStrategy is a strategy whose objects end in two steps. It is a type of its own because the registry asks by
// interface.
type gracefulStrategy[T object] struct{ strategy[T] }

func (s gracefulStrategy[T]) CheckGracefulDelete(_ context.Context, obj runtime.Object,
	options *metav1.DeleteOptions) bool {
	return s.kind.graceful(obj.(T), options)
}

// statusStrategy is a strategy for the status subresource.
type statusStrategy[T object] struct{ strategy[T] }

func (s statusStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.kind.status.prepareUpdate(obj.(T), old.(T))
}

func (s statusStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.kind.status.validateUpdate(obj.(T), old.(T))
}

func (s statusStrategy[T]) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.kind.status.warn == nil {
		return nil
	}
	return s.kind.status.warn(obj.(T), old.(T))
}

// GetResetFields names the fields that a write to the status cannot own.
func (s statusStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
	for _, path := range s.kind.status.reset {
		var parts []any
		for part := range strings.SplitSeq(path, ".") {
			parts = append(parts, part)
		}
		set.Insert(fieldpath.MakePathOrDie(parts...))
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{s.apiVersion(): set}
}
