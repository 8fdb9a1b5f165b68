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

// What every namespace has.
const (
	defaultAccount = "default"
	rootCAName     = "kube-root-ca.crt"
	rootCAKey      = "ca.crt"

	descriptionKey = "kubernetes.io/description"
	rootCAText     = "The certificate authority of this API server, by which Pods recognize it. Kept by the server."
)

// namespaces empties those that end and furnishes those that live.
type namespaces struct {
	resources []Resource
	store     rest.Getter
	finalize  rest.Updater // namespaces/finalize
	status    rest.Updater // namespaces/status
	accounts  Store
	configs   Store
	rootCA    string
	look      func(name string)
	ending    *nameSet
	living    *nameSet
}

// seen has a namespace looked at when it is new, has changed, or is ending while something in it changes; and when what
// every namespace has was edited.
func (n *namespaces) seen(r *Resource, obj metav1.Object) {
	switch {
	case r.GroupResource == corev1.Resource("namespaces"):
		ending := obj.GetDeletionTimestamp() != nil
		n.ending.set(obj.GetName(), ending)
		n.living.set(obj.GetName(), !ending)
		n.look(obj.GetName())
	case n.ending.has(obj.GetNamespace()):
		n.look(obj.GetNamespace())
	case furnishing(r, obj):
		n.look(obj.GetNamespace())
	}
}

func (n *namespaces) gone(r *Resource, obj metav1.Object) {
	switch {
	case r.GroupResource == corev1.Resource("namespaces"):
		n.ending.set(obj.GetName(), false)
		n.living.set(obj.GetName(), false)
	case n.ending.has(obj.GetNamespace()), furnishing(r, obj):
		n.look(obj.GetNamespace())
	}
}

// are may have missed that something is gone: everything that it may have been of is looked at.
func (n *namespaces) are(r *Resource, _ map[types.UID]bool) {
	names := n.ending.list()
	if r.GroupResource == corev1.Resource("serviceaccounts") || r.GroupResource == corev1.Resource("configmaps") {
		names = append(names, n.living.list()...)
	}
	for _, name := range names {
		n.look(name)
	}
}

func furnishing(r *Resource, obj metav1.Object) bool {
	switch r.GroupResource {
	case corev1.Resource("serviceaccounts"):
		return obj.GetName() == defaultAccount
	case corev1.Resource("configmaps"):
		return obj.GetName() == rootCAName
	}
	return false
}

// sync does what the state of one namespace asks for. An error means: again.
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
		return n.furnish(ctx, name)
	}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return nil // another finalizer's owner has yet to come
	}
	return n.empty(ctx, ns)
}

// furnish makes what every namespace has.
func (n *namespaces) furnish(ctx context.Context, name string) error {
	ctx = in(ctx, name)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: defaultAccount, Namespace: name}}
	if err := createMissing(ctx, n.accounts, account); err != nil {
		return fmt.Errorf("making the service account %s: %w", defaultAccount, err)
	}
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: rootCAName, Namespace: name,
			Annotations: map[string]string{descriptionKey: rootCAText}},
		Data: map[string]string{rootCAKey: n.rootCA},
	}
	if err := createMissing(ctx, n.configs, config); err != nil {
		return fmt.Errorf("making the config map %s: %w", rootCAName, err)
	}
	return n.restore(ctx, config.Data)
}

// restore undoes an edit of the certificate authority.
func (n *namespaces) restore(ctx context.Context, data map[string]string) error {
	stored, err := n.configs.Get(ctx, rootCAName, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // deleted a moment ago: that is an event of its own
	}
	if err != nil || maps.Equal(stored.(*corev1.ConfigMap).Data, data) {
		return err
	}
	wish := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		config := stored.DeepCopyObject().(*corev1.ConfigMap)
		config.Data, config.BinaryData = data, nil
		return config, nil
	})
	_, _, err = n.configs.Update(ctx, rootCAName, wish, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
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

// empty deletes what is in a namespace: its Pods, and once these are gone the rest, lest a Pod outlives what it is
// guarded by (KEP-5080). Some of it may take its time: the namespace is looked at again when it is gone.
func (n *namespaces) empty(ctx context.Context, ns *corev1.Namespace) error {
	var left remains
	isPods := func(r *Resource) bool { return r.GroupResource == corev1.Resource("pods") }
	failed := n.deleteAll(ctx, ns.Name, &left, isPods)
	if left.nothing() && failed == nil {
		failed = n.deleteAll(ctx, ns.Name, &left, func(r *Resource) bool { return !isPods(r) })
	}
	if left.nothing() && failed == nil {
		return n.finish(ctx, ns)
	}
	if err := n.report(ctx, ns, conditionsOf(&left, failed)); err != nil {
		return errors.Join(failed, err)
	}
	return failed
}

func (n *namespaces) deleteAll(ctx context.Context, namespace string, left *remains,
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

// finish takes away our finalizer. If it was the last, the namespace is gone with it.
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
	wish := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		obj := stored.DeepCopyObject().(*corev1.Namespace)
		if obj.UID != ns.UID {
			return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), ns.Name)
		}
		change(obj)
		return obj, nil
	})
	_, _, err := to.Update(in(ctx, ""), ns.Name, wish, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
		&metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
