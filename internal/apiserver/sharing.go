package apiserver

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// sharing is a storage whose watches give successive versions of an object that share what they have in common.
//
// The watch cache keeps every version of more than a minute, for clients that resume. Endpoints of fifty Pods that
// become ready one after another are fifty versions, and all but one address of each is the same as in the version
// before: decoded on their own they would be most of the server's memory. Nothing may change an object that a cache
// holds, so what is equal may as well be one.
type sharing struct{ storage.Interface }

// Watch implements storage.Interface.
func (s sharing) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	w, err := s.Interface.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	latest := map[types.NamespacedName]object{}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		decoded := e.Object
		if timed, ok := decoded.(storage.WatchEventWithRecordTime); ok {
			decoded = timed.Unwrap()
		}
		obj, ok := decoded.(object)
		if !ok {
			return e, true // an error, say
		}
		name := types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
		switch e.Type {
		case watch.Deleted:
			delete(latest, name)
		case watch.Added, watch.Modified:
			if before, ok := latest[name]; ok {
				share(obj, before)
			}
			latest[name] = obj
		}
		return e, true
	}), nil
}

// share makes obj refer to the parts of before that are equal to its own.
func share(obj, before object) {
	switch o := obj.(type) {
	case *corev1.Pod:
		shareMeta(&o.ObjectMeta, &before.(*corev1.Pod).ObjectMeta)
		if old := before.(*corev1.Pod); apiequality.Semantic.DeepEqual(o.Spec, old.Spec) {
			o.Spec = old.Spec
		}
	case *corev1.Endpoints:
		old := before.(*corev1.Endpoints)
		shareMeta(&o.ObjectMeta, &old.ObjectMeta)
		for i := range o.Subsets {
			o.Subsets[i].Addresses, o.Subsets[i].NotReadyAddresses = fitted(o.Subsets[i].Addresses),
				fitted(o.Subsets[i].NotReadyAddresses)
		}
		for i := range min(len(o.Subsets), len(old.Subsets)) {
			shareItems(o.Subsets[i].Addresses, old.Subsets[i].Addresses, addressIP, sameAddress)
			shareItems(o.Subsets[i].NotReadyAddresses, old.Subsets[i].NotReadyAddresses, addressIP, sameAddress)
		}
	case *discoveryv1.EndpointSlice:
		old := before.(*discoveryv1.EndpointSlice)
		shareMeta(&o.ObjectMeta, &old.ObjectMeta)
		o.Endpoints = fitted(o.Endpoints)
		shareItems(o.Endpoints, old.Endpoints, endpointIP, sameEndpoint)
	}
}

func addressIP(a *corev1.EndpointAddress) string { return a.IP }

func sameAddress(a, b *corev1.EndpointAddress) bool {
	return a.IP == b.IP && a.Hostname == b.Hostname && samePointee(a.NodeName, b.NodeName) && samePointee(a.TargetRef,
		b.TargetRef)
}

func endpointIP(e *discoveryv1.Endpoint) string {
	if len(e.Addresses) == 0 {
		return ""
	}
	return e.Addresses[0]
}

func sameEndpoint(a, b *discoveryv1.Endpoint) bool {
	c, d := a.Conditions, b.Conditions
	return slices.Equal(a.Addresses, b.Addresses) && samePointee(a.TargetRef, b.TargetRef) &&
		samePointee(c.Ready, d.Ready) && samePointee(c.Serving, d.Serving) && samePointee(c.Terminating, d.Terminating) &&
		samePointee(a.Hostname, b.Hostname) && samePointee(a.NodeName, b.NodeName) && samePointee(a.Zone, b.Zone) &&
		a.Hints == nil && b.Hints == nil && a.DeprecatedTopology == nil && b.DeprecatedTopology == nil
}

// samePointee is written out, as what it serves, because a comparison by reflection costs more than all the rest of a
// watch event.
func samePointee[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// fitted is s without the room to grow that decoding left: up to as much again.
func fitted[T any](s []T) []T {
	if cap(s) == len(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// shareItems replaces each of items that equals one of before by that one. Both are in about the same order: one that
// was left out or put in is stepped over, more at once end the sharing.
func shareItems[T any](items, before []T, key func(*T) string, same func(a, b *T) bool) {
	for i := range items {
		k := key(&items[i])
		if len(before) > 1 && k != key(&before[0]) && k == key(&before[1]) {
			before = before[1:]
		}
		if len(before) == 0 {
			return
		}
		if k != key(&before[0]) {
			continue
		}
		if same(&items[i], &before[0]) {
			items[i] = before[0]
		}
		before = before[1:]
	}
}

func shareMeta(meta, before *metav1.ObjectMeta) {
	meta.Name, meta.Namespace, meta.GenerateName = before.Name, before.Namespace, shared(meta.GenerateName,
		before.GenerateName)
	meta.UID = shared(meta.UID, before.UID)
	if maps.Equal(meta.Labels, before.Labels) {
		meta.Labels = before.Labels
	}
	if maps.Equal(meta.Annotations, before.Annotations) {
		meta.Annotations = before.Annotations
	}
	if apiequality.Semantic.DeepEqual(meta.OwnerReferences, before.OwnerReferences) {
		meta.OwnerReferences = before.OwnerReferences
	}
	for i := range meta.ManagedFields {
		entry := &meta.ManagedFields[i]
		same := func(other metav1.ManagedFieldsEntry) bool {
			return other.FieldsV1 != nil && entry.FieldsV1 != nil && other.FieldsV1.Equal(*entry.FieldsV1)
		}
		if j := slices.IndexFunc(before.ManagedFields, same); j >= 0 {
			entry.FieldsV1 = before.ManagedFields[j].FieldsV1
		}
	}
}

// shared is before if that is equal to value: the same text, kept once.
func shared[T ~string](value, before T) T {
	if value == before {
		return before
	}
	return value
}
