package node

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	eventlog "k8s.io/client-go/tools/record"
)

// component is the source of the agent's events.
const component = "viaduct-agent"

// record starts the recording of events. The function it returns ends it.
func (a *Agent) record() (end func()) {
	a.events = eventlog.NewBroadcaster()
	a.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	a.recorder = a.events.NewRecorder(scheme.Scheme, v1.EventSource{Component: component, Host: a.opts.NodeName})
	return a.events.Shutdown
}

// event records an event about the Pod, or about one container of it; c is nil for the Pod itself.
func (w *worker) event(c *container, kind, reason, message string) {
	ref := &v1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: w.pod.Namespace, Name: w.pod.Name, UID: w.uid,
		ResourceVersion: w.pod.ResourceVersion,
	}
	if c != nil {
		list := "spec.containers"
		if c.Kind != mainContainer {
			list = "spec.initContainers"
		}
		ref.FieldPath = list + "{" + c.Name + "}"
	}
	w.agent.recorder.Event(ref, kind, reason, message)
}

// podListWatch lists and watches the Pods that a field selector picks, in all namespaces.
func podListWatch(client kubernetes.Interface, selector string) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return client.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, o)
		},
	}
}

// withoutManagedFields gives a Pod without its managedFields, which are often most of it and are not used here. It is a
// copy: the object may be shared (a fake API server hands out its own).
func withoutManagedFields(object any) (any, error) {
	pod, ok := object.(*v1.Pod)
	if !ok {
		return object, nil
	}
	slim := *pod
	slim.ManagedFields = nil
	return &slim, nil
}
