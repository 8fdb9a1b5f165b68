// Package apiclient holds what the parts of the project share as clients of the Kubernetes API: transforms, indexes and
// handlers of informers, and the recording of Events. It keeps no state and knows no part.
package apiclient

import (
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// ByService is the name of the index that IndexByService fills.
const ByService = "service"

// IndexByService is a cache.IndexFunc. It indexes an EndpointSlice by the Service that its label
// kubernetes.io/service-name names, as namespace/name. Other objects and slices without that label have no key.
func IndexByService(obj any) ([]string, error) {
	s, ok := obj.(*discovery.EndpointSlice)
	if !ok || s.Labels[discovery.LabelServiceName] == "" {
		return nil, nil
	}
	return []string{s.Namespace + "/" + s.Labels[discovery.LabelServiceName]}, nil
}

// WithoutManagedFields is a cache.TransformFunc. It removes the managed fields, often half of an object's size, from
// the object itself. What has no object metadata is returned as it is.
func WithoutManagedFields(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}

// LastState returns the object of a delete event. If the watch missed the deletion, client-go wraps the last known
// state in a cache.DeletedFinalStateUnknown, which LastState removes.
func LastState(obj any) any {
	if missed, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return missed.Obj
	}
	return obj
}

// Handler returns an event handler that calls changed with both states of an object: before is nil for a new object,
// after is nil for a deleted one. listed is true for objects of the informer's first list. A deleted object of another
// type than T is skipped.
func Handler[T any](changed func(before, after *T, listed bool)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(obj any, listed bool) { changed(nil, obj.(*T), listed) },
		UpdateFunc: func(before, after any) { changed(before.(*T), after.(*T), false) },
		DeleteFunc: func(obj any) {
			if last, ok := LastState(obj).(*T); ok {
				changed(last, nil, false)
			}
		},
	}
}

// NewRecorder returns a recorder that writes Events through client on behalf of source. It sends them in the
// background; stop ends that.
func NewRecorder(client kubernetes.Interface, source v1.EventSource) (recorder record.EventRecorder, stop func()) {
	events := record.NewBroadcaster()
	events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return events.NewRecorder(scheme.Scheme, source), events.Shutdown
}
