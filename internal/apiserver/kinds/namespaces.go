package kinds

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func namespace() resource.Kind[*corev1.Namespace] {
	return resource.Kind[*corev1.Namespace]{
		Group:         coreGroup,
		Names:         resource.Names{Plural: "namespaces", Singular: "namespace", Short: []string{"ns"}},
		ClusterScoped: true,
		Rules: resource.Rules[*corev1.Namespace]{
			Default: validation.DefaultNamespace,
			PrepareCreate: func(_ context.Context, ns *corev1.Namespace) {
				ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
				addFinalizer(ns)
			},
			PrepareUpdate: func(_ context.Context, ns, old *corev1.Namespace) { ns.Status, ns.Spec = old.Status, old.Spec },
			Validate:      validation.ValidateNamespace, ValidateUpdate: validation.ValidateNamespaceUpdate,
			AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Namespace]{Fields: func(ns *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(ns.Status.Phase)}
		}},
		Status: &resource.Subresource[*corev1.Namespace]{
			PrepareUpdate:  func(ns, old *corev1.Namespace) { ns.Spec = old.Spec },
			ValidateUpdate: validation.ValidateNamespaceStatusUpdate,
		},
		Finalize: &resource.Subresource[*corev1.Namespace]{
			PrepareUpdate:  func(ns, old *corev1.Namespace) { ns.Status = old.Status },
			ValidateUpdate: validation.ValidateNamespaceFinalizeUpdate,
		},
		Storing: resource.Storing[*corev1.Namespace]{Customize: func(store *registry.Store) {
			store.ShouldDeleteDuringUpdate = hasNoFinalizers
		}},
		Serving: resource.Serving{
			Table: printers.Namespaces(),
			Wrap:  func(r *resource.REST) rest.Storage { return &namespaceREST{r, r.Store} },
		},
	}
}

// addFinalizer adds the finalizer that keeps a namespace until its content is deleted.
func addFinalizer(ns *corev1.Namespace) {
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func hasNoFinalizers(_ context.Context, _ string, obj, _ runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0
}

// namespaceREST handles namespaces. A delete request marks the namespace as terminating; it is removed when it is
// empty. Like upstream, it has no delete of a collection.
type namespaceREST struct {
	namespaceStorage
	store *registry.Store
}

// namespaceStorage is the part of resource.REST that namespaces keep.
type namespaceStorage interface {
	rest.Storage
	rest.Scoper
	rest.SingularNameProvider
	rest.ShortNamesProvider
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Creater
	rest.Updater
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
}

// Delete implements rest.GracefulDeleter.
func (r *namespaceREST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := r.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := obj.(*corev1.Namespace)
	if ns.DeletionTimestamp == nil {
		terminating, err := r.terminate(ctx, ns, validate, options)
		return terminating, false, err
	}
	if len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil
	}
	return r.store.Delete(ctx, name, validate, options)
}

func (r *namespaceREST) terminate(ctx context.Context, ns *corev1.Namespace, validate rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (*corev1.Namespace, error) {
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	key, err := r.store.KeyFunc(ctx, ns.Name)
	if err != nil {
		return nil, err
	}
	var wanted *storage.Preconditions
	if p := options.Preconditions; p != nil {
		wanted = &storage.Preconditions{UID: p.UID, ResourceVersion: p.ResourceVersion}
	}
	mark := func(stored runtime.Object) (runtime.Object, error) {
		ns, ok := stored.(*corev1.Namespace)
		if !ok {
			return nil, fmt.Errorf("%T stored as a namespace", stored)
		}
		if validate != nil {
			if err := validate(ctx, ns.DeepCopy()); err != nil {
				return nil, err
			}
		}
		markTerminating(ns, options)
		return ns, nil
	}
	out := &corev1.Namespace{}
	err = r.store.Storage.GuaranteedUpdate(ctx, key, out, false, wanted, storage.SimpleUpdate(mark),
		len(options.DryRun) > 0, nil)
	if storage.IsNotFound(err) {
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), ns.Name)
	}
	if err != nil {
		return nil, storeerr.InterpretUpdateError(err, corev1.Resource("namespaces"), ns.Name)
	}
	return out, nil
}

func markTerminating(ns *corev1.Namespace, options *metav1.DeleteOptions) {
	if ns.DeletionTimestamp == nil {
		now := metav1.Now()
		ns.DeletionTimestamp = &now
		addFinalizer(ns) // early versions stored namespaces without it
	}
	ns.Status.Phase = corev1.NamespaceTerminating
	setPropagation(ns, options)
}

// setPropagation records the propagation policy of a delete request as finalizers.
func setPropagation(ns *corev1.Namespace, options *metav1.DeleteOptions) {
	if options.PropagationPolicy == nil {
		return
	}
	set := func(finalizer string, wanted bool) {
		ns.Finalizers = slices.DeleteFunc(ns.Finalizers, func(f string) bool { return f == finalizer })
		if wanted {
			ns.Finalizers = append(ns.Finalizers, finalizer)
		}
	}
	set(metav1.FinalizerOrphanDependents, *options.PropagationPolicy == metav1.DeletePropagationOrphan)
	set(metav1.FinalizerDeleteDependents, *options.PropagationPolicy == metav1.DeletePropagationForeground)
}
