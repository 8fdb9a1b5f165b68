package resource

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy adapts the rules of a kind to the interfaces of k8s.io/apiserver's registry.
type strategy[T Object] struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind Kind[T]
}

func (s strategy[T]) NamespaceScoped() bool { return !s.kind.ClusterScoped }
func (s strategy[T]) AllowCreateOnUpdate(context.Context) bool {
	return s.kind.Rules.AllowCreateOnUpdate
}
func (s strategy[T]) Canonicalize(runtime.Object) {}
func (s strategy[T]) AllowUnconditionalUpdate(context.Context) bool {
	return s.kind.Rules.AllowUnconditionalUpdate
}

func (s strategy[T]) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	if s.kind.Rules.PrepareCreate != nil {
		s.kind.Rules.PrepareCreate(ctx, obj.(T))
	}
}

func (s strategy[T]) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	if s.kind.Rules.PrepareUpdate != nil {
		s.kind.Rules.PrepareUpdate(ctx, obj.(T), old.(T))
	}
}

func (s strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	if s.kind.Rules.Validate == nil {
		return nil
	}
	return s.kind.Rules.Validate(obj.(T))
}

func (s strategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.Rules.ValidateUpdate == nil {
		return nil
	}
	return s.kind.Rules.ValidateUpdate(obj.(T), old.(T))
}

func (s strategy[T]) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	if s.kind.Rules.Warn == nil {
		return nil
	}
	var none T
	return s.kind.Rules.Warn(obj.(T), none)
}

func (s strategy[T]) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.kind.Rules.Warn == nil {
		return nil
	}
	return s.kind.Rules.Warn(obj.(T), old.(T))
}

// GetResetFields names the fields that server-side apply cannot own through the main resource: the status, if there is
// a subresource for it.
func (s strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.kind.Status == nil {
		return nil
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{s.apiVersion(): fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}

func (s strategy[T]) apiVersion() fieldpath.APIVersion {
	return fieldpath.APIVersion(s.kind.Group.Version.String())
}

// gracefulStrategy is the strategy of objects that are deleted in two steps. It is a type of its own because the
// registry tests for the interface.
type gracefulStrategy[T Object] struct{ strategy[T] }

// CheckGracefulDelete implements rest.RESTGracefulDeleteStrategy.
func (s gracefulStrategy[T]) CheckGracefulDelete(_ context.Context, obj runtime.Object,
	options *metav1.DeleteOptions) bool {
	return s.kind.Rules.Graceful(obj.(T), options)
}

// subresourceStrategy is the strategy of the status, or of the finalizers.
type subresourceStrategy[T Object] struct {
	strategy[T]
	rules *Subresource[T]
}

func (s subresourceStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.rules.PrepareUpdate(obj.(T), old.(T))
}

func (s subresourceStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.rules.ValidateUpdate == nil {
		return nil
	}
	return s.rules.ValidateUpdate(obj.(T), old.(T))
}

func (s subresourceStrategy[T]) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.rules.Warn == nil {
		return nil
	}
	return s.rules.Warn(obj.(T), old.(T))
}

// GetResetFields names the fields that server-side apply cannot own through the subresource.
func (s subresourceStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
	for _, path := range s.rules.Reset {
		var parts []any
		for part := range strings.SplitSeq(path, ".") {
			parts = append(parts, part)
		}
		set.Insert(fieldpath.MakePathOrDie(parts...))
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{s.apiVersion(): set}
}
