package allocation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who reports what; upstream's names.
const (
	addressController = "ipallocator-repair-controller"
	portController    = "portallocator-repair-controller"
	rangeController   = "kubernetes-service-cidr-controller"
)

// Events tells people what was found, in the API.
type Events struct {
	create func(context.Context, *corev1.Event) error
	log    *slog.Logger
}

// NewEvents returns events that create stores.
func NewEvents(create func(context.Context, *corev1.Event) error, log *slog.Logger) *Events {
	return &Events{create: create, log: log}
}

// warn stores a warning about an object. That an event is lost is no reason to do less.
func (e *Events) warn(ctx context.Context, controller string, about corev1.ObjectReference, reason, message string) {
	now := metav1.Now()
	namespace := about.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	err := e.create(ctx, &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace, Name: eventName(about.Name)},
		InvolvedObject:      about,
		Reason:              reason,
		Message:             message,
		Type:                corev1.EventTypeWarning,
		Source:              corev1.EventSource{Component: controller},
		ReportingController: controller,
		FirstTimestamp:      now, LastTimestamp: now, Count: 1,
	})
	if err != nil && ctx.Err() == nil {
		e.log.Warn("reporting an event", "reason", reason, "about", about.Namespace+"/"+about.Name, "err", err)
	}
}

// eventName is unique, and begins with the name of the object; the colons of an IPv6 address cannot be in it.
func eventName(object string) string {
	return fmt.Sprintf("%s.%x", strings.Trim(strings.ReplaceAll(object, ":", "-"), "-"), time.Now().UnixNano())
}
