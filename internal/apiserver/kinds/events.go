package kinds

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// eventTTL is how long an Event is kept, in seconds; kube-apiserver's default.
const eventTTL = 3600

func event() resource.Kind[*corev1.Event] {
	return resource.Kind[*corev1.Event]{
		Group: coreGroup,
		Names: resource.Names{Plural: "events", Singular: "event", Short: []string{"ev"}},
		Rules: resource.Rules[*corev1.Event]{
			Default:  validation.DefaultEvent,
			Validate: validation.ValidateEvent, ValidateUpdate: validation.ValidateEventUpdate,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Event]{Fields: eventFields},
		Storing:   resource.Storing[*corev1.Event]{TTL: eventTTL},
		Serving:   resource.Serving{Table: printers.Events()},
	}
}

func eventFields(e *corev1.Event) fields.Set {
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         cmp.Or(e.Source.Component, e.ReportingController),
		"type":                           e.Type,
	}
}
