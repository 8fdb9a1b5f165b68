package apiserver

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
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

func namespaceKind() kind[*corev1.Namespace] {
	return kind[*corev1.Namespace]{
		resource: corev1.Resource("namespaces"), singular: "namespace", shortNames: []string{"ns"}, clusterWide: true,
		table:     printers.Namespaces(),
		newObject: func() *corev1.Namespace { return &corev1.Namespace{} },
		newList:   func() runtime.Object { return &corev1.NamespaceList{} },
		prepareCreate: func(_ context.Context, ns *corev1.Namespace) {
			ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			keepUntilEmpty(ns)
		},
		prepareUpdate:  func(_ context.Context, ns, old *corev1.Namespace) { ns.Status, ns.Spec = old.Status, old.Spec },
		validate:       validation.ValidateNamespace,
		validateUpdate: validation.ValidateNamespaceUpdate,
		unconditional:  true,
		selectable: func(ns *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(ns.Status.Phase)}
		},
		status: &statusKind[*corev1.Namespace]{
			prepareUpdate:  func(ns, old *corev1.Namespace) { ns.Spec = old.Spec },
			validateUpdate: validation.ValidateNamespaceStatusUpdate,
		},
		attach: func(store *registry.Store) { store.ShouldDeleteDuringUpdate = endsWithoutFinalizers },
	}
}

// keepUntilEmpty adds the finalizer that holds a namespace until its content is gone.
func keepUntilEmpty(ns *corev1.Namespace) {
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func endsWithoutFinalizers(_ context.Context, _ string, obj, _ runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0
}

// installFinalize serves namespaces/finalize, by which the finalizers of a namespace's spec are taken away.
func installFinalize(b *builder, main *registry.Store) {
	k := namespaceKind()
	k.status = &statusKind[*corev1.Namespace]{
		prepareUpdate:  func(ns, old *corev1.Namespace) { ns.Status = old.Status },
		validateUpdate: validation.ValidateNamespaceFinalizeUpdate,
	}
	finalize := statusStrategy[*corev1.Namespace]{strategy[*corev1.Namespace]{ObjectTyper: b.schemes.types, kind: k}}
	store := *main
	store.UpdateStrategy, store.ResetFieldsStrategy = finalize, nil
	b.add(k.resource, "finalize", &finalizeREST{store: &store})
}

// finalizeREST serves namespaces/finalize.
type finalizeREST struct{ store *registry.Store }

func (r *finalizeREST) New() runtime.Object { return r.store.New() }
func (r *finalizeREST) Destroy()            {} // the store belongs to the main resource

// Update implements rest.Updater.
func (r *finalizeREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, clientsWish{obj}, create, update, false, options)
}

// namespaceREST serves namespaces: a delete only makes one end, and the end comes when it is empty. It has no delete of
// a collection, as upstream has none.
type namespaceREST struct {
	namespaceStorage
	store *registry.Store
}

// namespaceStorage is what is left to the common storage.
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
		ending, err := r.beginEnd(ctx, ns, validate, options)
		return ending, false, err
	}
	if len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil
	}
	return r.store.Delete(ctx, name, validate, options)
}

func (r *namespaceREST) beginEnd(ctx context.Context, ns *corev1.Namespace, validate rest.ValidateObjectFunc,
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
	out := &corev1.Namespace{}
	err = r.store.Storage.GuaranteedUpdate(ctx, key, out, false, wanted,
		storage.SimpleUpdate(func(stored runtime.Object) (runtime.Object, error) {
			ns, ok := stored.(*corev1.Namespace)
			if !ok {
				return nil, fmt.Errorf("%T stored as a namespace", stored)
			}
			if validate != nil {
				if err := validate(ctx, ns.DeepCopy()); err != nil {
					return nil, err
				}
			}
			if ns.DeletionTimestamp == nil {
				now := metav1.Now()
				ns.DeletionTimestamp = &now
				keepUntilEmpty(ns) // one made by an early version may lack it
			}
			ns.Status.Phase = corev1.NamespaceTerminating
			setPropagation(ns, options)
			return ns, nil
		}), len(options.DryRun) > 0, nil)
	if err != nil {
		return nil, storeDeleteError(err, ns.Name)
	}
	return out, nil
}

// setPropagation notes by a finalizer what is to become of the objects that the namespace owns, if the request says so.
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

func storeDeleteError(err error, name string) error {
	if storage.IsNotFound(err) {
		return apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	return storeError(err, corev1.Resource("namespaces"), name)
}
