package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
)

// The objects that every namespace has.
const (
	defaultAccount = "default"
	rootCAName     = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"

	descriptionKey = "kubernetes.io/description"
	rootCAText     = "The certificate authority of this API server. Pods verify the server with it. The server " +
		"maintains this object."
)

// namespaces empties the namespaces that end and creates the default objects of the others.
type namespaces struct {
	resources []Resource
	store     rest.Getter
	finalize  rest.Updater // namespaces/finalize
	status    rest.Updater // namespaces/status
	accounts  Store
	configs   Store
	rootCA    string
	enqueue   func(name string)
	ending    *nameSet
	living    *nameSet
}

// onUpdate queues a namespace when the namespace changes, when an object in it changes while it ends, and when one
// of its default objects changes.
func (n *namespaces) onUpdate(r *Resource, obj metav1.Object) {
	switch {
	case r.GroupResource == corev1.Resource("namespaces"):
		ending := obj.GetDeletionTimestamp() != nil
		n.ending.set(obj.GetName(), ending)
		n.living.set(obj.GetName(), !ending)
		n.enqueue(obj.GetName())
	case n.ending.has(obj.GetNamespace()):
		n.enqueue(obj.GetNamespace())
	case isDefaultObject(r, obj):
		n.enqueue(obj.GetNamespace())
	}
}

func (n *namespaces) onDelete(r *Resource, obj metav1.Object) {
	switch {
	case r.GroupResource == corev1.Resource("namespaces"):
		n.ending.set(obj.GetName(), false)
		n.living.set(obj.GetName(), false)
	case n.ending.has(obj.GetNamespace()), isDefaultObject(r, obj):
		n.enqueue(obj.GetNamespace())
	}
}

// onRelist queues every namespace of which a deletion may have been missed.
func (n *namespaces) onRelist(r *Resource, _ map[types.UID]bool) {
	names := n.ending.list()
	if r.GroupResource == corev1.Resource("serviceaccounts") || r.GroupResource == corev1.Resource("configmaps") {
		names = append(names, n.living.list()...)
	}
	for _, name := range names {
		n.enqueue(name)
	}
}

// isDefaultObject reports whether obj is one of the objects that every namespace has.
func isDefaultObject(r *Resource, obj metav1.Object) bool {
	switch r.GroupResource {
	case corev1.Resource("serviceaccounts"):
		return obj.GetName() == defaultAccount
	case corev1.Resource("configmaps"):
		return obj.GetName() == rootCAName
	}
	return false
}

// sync does what the state of one namespace requires. The caller retries after an error.
func (n *namespaces) sync(ctx context.Context, name string) error {
	obj, err := n.store.Get(in(ctx, ""), name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ns := obj.(*corev1.Namespace)
	if ns.DeletionTimestamp == nil {
		return n.ensureDefaults(ctx, name)
	}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return nil // another finalizer is left
	}
	return n.empty(ctx, ns)
}

// ensureDefaults creates the objects that every namespace has.
func (n *namespaces) ensureDefaults(ctx context.Context, name string) error {
	ctx = in(ctx, name)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount, Namespace: name}}
	if err := createMissing(ctx, n.accounts, account); err != nil {
		return fmt.Errorf("creating the service account %s: %w", defaultAccount, err)
	}
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: rootCAName, Namespace: name,
			Annotations: map[string]string{descriptionKey: rootCAText}},
		Data: map[string]string{rootCAKey: n.rootCA},
	}
	if err := createMissing(ctx, n.configs, config); err != nil {
		return fmt.Errorf("creating the config map %s: %w", rootCAName, err)
	}
	return n.restoreRootCA(ctx, config.Data)
}

// restoreRootCA undoes an edit of the certificate authority.
func (n *namespaces) restoreRootCA(ctx context.Context, data map[string]string) error {
	stored, err := n.configs.Get(ctx, rootCAName, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // its deletion queues the namespace again
	}
	if err != nil || maps.Equal(stored.(*corev1.ConfigMap).Data, data) {
		return err
	}
	updated := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object,
		error) {
		config := stored.DeepCopyObject().(*corev1.ConfigMap)
		config.Data, config.BinaryData = data, nil
		return config, nil
	})
	_, _, err = n.configs.Update(ctx, rootCAName, updated, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
		false, &metav1.UpdateOptions{})
	return err
}

func createMissing(ctx context.Context, store Store, obj interface {
	runtime.Object
	metav1.Object
}) error {
	if _, err := store.Get(ctx, obj.GetName(), &metav1.GetOptions{ResourceVersion: "0"}); err == nil {
		return nil
	}
	_, err := store.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// empty deletes the Pods of a namespace and, once these are gone, all other objects: an object that protects a Pod,
// such as a network policy, must not go first (KEP-5080). Each deletion that completes later queues the namespace
// again.
func (n *namespaces) empty(ctx context.Context, ns *corev1.Namespace) error {
	var left leftovers
	isPods := func(r *Resource) bool { return r.GroupResource == corev1.Resource("pods") }
	failed := n.deleteAll(ctx, ns.Name, &left, isPods)
	if left.isEmpty() && failed == nil {
		failed = n.deleteAll(ctx, ns.Name, &left, func(r *Resource) bool { return !isPods(r) })
	}
	if left.isEmpty() && failed == nil {
		return n.finish(ctx, ns)
	}
	if err := n.report(ctx, ns, conditionsOf(&left, failed)); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

func (n *namespaces) deleteAll(ctx context.Context, namespace string, left *leftovers,
	wanted func(*Resource) bool) error {
	var errs []error
	for i := range n.resources {
		r := &n.resources[i]
		if !r.Namespaced || !wanted(r) {
			continue
		}
		if err := left.deleteAll(in(ctx, namespace), r); err != nil {
			errs = append(errs, fmt.Errorf("deleting %s: %w", r.GroupResource, err))
		}
	}
	return errors.Join(errs...)
}

// finish removes our finalizer. If it was the last one, the namespace is deleted.
func (n *namespaces) finish(ctx context.Context, ns *corev1.Namespace) error {
	return n.write(ctx, n.finalize, ns, func(stored *corev1.Namespace) bool {
		stored.Spec.Finalizers = slices.DeleteFunc(stored.Spec.Finalizers,
			func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
		return true
	})
}

func (n *namespaces) report(ctx context.Context, ns *corev1.Namespace, conditions []corev1.NamespaceCondition) error {
	if !setConditions(ns.DeepCopy(), conditions) {
		return nil
	}
	return n.write(ctx, n.status, ns, func(stored *corev1.Namespace) bool { return setConditions(stored, conditions) })
}

func (n *namespaces) write(ctx context.Context, to rest.Updater, ns *corev1.Namespace,
	change func(*corev1.Namespace) bool) error {
	updated := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object,
		error) {
		obj := stored.DeepCopyObject().(*corev1.Namespace)
		if obj.UID != ns.UID {
			return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), ns.Name)
		}
		change(obj)
		return obj, nil
	})
	_, _, err := to.Update(in(ctx, ""), ns.Name, updated, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
		false,
		&metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
