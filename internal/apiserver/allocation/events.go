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

// The components that events name as their source; upstream's names.
const (
	addressController = "ipallocator-repair-controller"
	portController    = "portallocator-repair-controller"
	rangeController   = "kubernetes-service-cidr-controller"
)

// Events writes Warning events.
type Events struct {
	create func(context.Context, *corev1.Event) error
	log    *slog.Logger
}

// NewEvents returns Events that are stored by create.
func NewEvents(create func(context.Context, *corev1.Event) error, log *slog.Logger) *Events {
	return &Events{create: create, log: log}
}

// warn stores a Warning event about an object. A failure is logged only, since it must not stop the work.
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

// eventName returns a unique name that begins with the name of the object. Colons of an IPv6 address are replaced,
// since a name cannot have them.
func eventName(object string) string {
	return fmt.Sprintf("%s.%x", strings.Trim(strings.ReplaceAll(object, ":", "-"), "-"), time.Now().UnixNano())
}
