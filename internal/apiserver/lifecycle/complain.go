package lifecycle

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
)

// complainer tells users of what cannot be as they wrote it, by Warning events.
type complainer struct{ events rest.Creater }

// complain writes one event. If it cannot be written nothing else is to fail for it.
func (c complainer) complain(ctx context.Context, about *node, reason, message string) {
	namespace := about.namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault // where events about objects of no namespace are
	}
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			// One event for an object and reason, however often it is looked at.
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
	_, _ = c.events.Create(in(ctx, namespace), event, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
}
