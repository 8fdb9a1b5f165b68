package kinds

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The functions intern… make an object share memory with its preceding version. See resource.Storing.

func internPod(pod, before *corev1.Pod) {
	internMeta(&pod.ObjectMeta, &before.ObjectMeta)
	if apiequality.Semantic.DeepEqual(pod.Spec, before.Spec) {
		pod.Spec = before.Spec
	}
}

func internEndpoints(ep, before *corev1.Endpoints) {
	internMeta(&ep.ObjectMeta, &before.ObjectMeta)
	for i := range ep.Subsets {
		s := &ep.Subsets[i]
		s.Addresses, s.NotReadyAddresses = clip(s.Addresses), clip(s.NotReadyAddresses)
	}
	for i := range min(len(ep.Subsets), len(before.Subsets)) {
		s, old := &ep.Subsets[i], &before.Subsets[i]
		internItems(s.Addresses, old.Addresses, addressIP, sameAddress)
		internItems(s.NotReadyAddresses, old.NotReadyAddresses, addressIP, sameAddress)
	}
}

func internEndpointSlice(slice, before *discoveryv1.EndpointSlice) {
	internMeta(&slice.ObjectMeta, &before.ObjectMeta)
	slice.Endpoints = clip(slice.Endpoints)
	internItems(slice.Endpoints, before.Endpoints, endpointIP, sameEndpoint)
}

func addressIP(a *corev1.EndpointAddress) string { return a.IP }

func sameAddress(a, b *corev1.EndpointAddress) bool {
	return a.IP == b.IP && a.Hostname == b.Hostname && equalPointees(a.NodeName, b.NodeName) && equalPointees(a.TargetRef,
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
	return slices.Equal(a.Addresses, b.Addresses) && equalPointees(a.TargetRef, b.TargetRef) &&
		equalPointees(c.Ready, d.Ready) && equalPointees(c.Serving, d.Serving) && equalPointees(c.Terminating,
		d.Terminating) &&
		equalPointees(a.Hostname, b.Hostname) && equalPointees(a.NodeName, b.NodeName) && equalPointees(a.Zone, b.Zone) &&
		a.Hints == nil && b.Hints == nil && a.DeprecatedTopology == nil && b.DeprecatedTopology == nil
}

// equalPointees and its callers compare field by field. Reflection would cost more than the rest of a watch event.
func equalPointees[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// clip returns s in an array of its own length: decoding leaves up to as much room again.
func clip[T any](s []T) []T {
	if cap(s) == len(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// internItems replaces each of items that equals an item of before by that one. Both lists are in about the same order:
// it steps over one item that was removed or added, and shares nothing after several at once.
func internItems[T any](items, before []T, key func(*T) string, same func(a, b *T) bool) {
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

func internMeta(meta, before *metav1.ObjectMeta) {
	meta.Name, meta.Namespace, meta.GenerateName = before.Name, before.Namespace, interned(meta.GenerateName,
		before.GenerateName)
	meta.UID = interned(meta.UID, before.UID)
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

// interned returns before if it equals value: both then share one string.
func interned[T ~string](value, before T) T {
	if value == before {
		return before
	}
	return value
}
