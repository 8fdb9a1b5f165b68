package lifecycle

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
)

// eventRecorder writes Warning events about owner references that cannot be right.
type eventRecorder struct{ events rest.Creater }

// warn writes one event. Its errors are dropped, since an event that cannot be written must not stop the collection.
func (r eventRecorder) warn(ctx context.Context, about *node, reason, message string) {
	namespace := about.namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault // events about cluster-scoped objects are stored there
	}
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			// The name is the same each time, so there is one event for an object and reason.
			Name: about.name + "." + strings.ToLower(reason) + "." + string(about.uid), Namespace: namespace,
		},
		InvolvedObject: corev1.ObjectReference{
			Kind: about.resource.Kind, APIVersion: about.resource.WithVersion("v1").GroupVersion().String(),
			Namespace: about.namespace, Name: about.name, UID: about.uid,
		},
		Reason: reason, Message: message, Type: corev1.EventTypeWarning, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source:              corev1.EventSource{Component: "garbage-collector-controller"},
		ReportingController: "garbage-collector-controller",
	}
	_, _ = r.events.Create(in(ctx, namespace), event, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
}
