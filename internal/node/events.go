package node

import (
	"context"

	"viaduct/internal/apiclient"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// component is the source of the agent's events.
const component = "viaduct-agent"

// record starts the recording of events. The function it returns ends it.
func (a *Agent) record() (end func()) {
	a.recorder, end = apiclient.NewRecorder(a.client, v1.EventSource{Component: component, Host: a.opts.NodeName})
	return end
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
