package validation

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The longest texts of an event with an eventTime, in bytes.
const (
	maxEventText = 128
	maxEventNote = 1024
)

// DefaultEvent fills in nothing. With it, every kind has a function for defaults, so no gap looks like an oversight.
func DefaultEvent(*v1.Event) {}

// ValidateEvent checks a new event. An event without an eventTime has the older form and is hardly checked, since a
// refused event is lost. Its name may be any path segment.
func ValidateEvent(event *v1.Event) field.ErrorList {
	check := eventOfOld
	if !event.EventTime.IsZero() {
		check = eventOfToday
	}
	return concat(check(event), invalid(field.NewPath("namespace"), event.Namespace,
		syntax.IsDNS1123Subdomain(event.Namespace)))
}

// ValidateEventUpdate checks the change from old to event, usually a higher count. In this version of the API no
// field is immutable.
func ValidateEventUpdate(event, _ *v1.Event) field.ErrorList { return ValidateEvent(event) }

// eventOfOld checks that the event is in the namespace of its object, or in default if the object is cluster-scoped.
func eventOfOld(event *v1.Event) field.ErrorList {
	involved := event.InvolvedObject.Namespace
	if involved == event.Namespace || involved == "" && event.Namespace == metav1.NamespaceDefault {
		return nil
	}
	return elsewhere(event)
}

func elsewhere(event *v1.Event) field.ErrorList {
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), event.InvolvedObject.Namespace,
		"does not go with the namespace of the event, "+event.Namespace)}
}

func eventOfToday(event *v1.Event) field.ErrorList {
	var errs field.ErrorList
	if event.InvolvedObject.Namespace == "" && event.Namespace != metav1.NamespaceDefault &&
		event.Namespace != metav1.NamespaceSystem {
		errs = elsewhere(event)
	}
	controller := field.NewPath("reportingController")
	return concat(errs,
		required(controller, event.ReportingController, ""),
		invalid(controller, event.ReportingController, syntax.IsQualifiedName(event.ReportingController)),
		required(field.NewPath("reportingInstance"), event.ReportingInstance, ""),
		noLonger(field.NewPath("reportingInstance"), event.ReportingInstance, maxEventText),
		required(field.NewPath("action"), event.Action, ""),
		noLonger(field.NewPath("action"), event.Action, maxEventText),
		required(field.NewPath("reason"), event.Reason, ""),
		noLonger(field.NewPath("reason"), event.Reason, maxEventText),
		noLonger(field.NewPath("message"), event.Message, maxEventNote),
	)
}

// noLonger checks the length of a text in bytes. The error does not repeat the text.
func noLonger(path *field.Path, text string, limit int) field.ErrorList {
	if len(text) <= limit {
		return nil
	}
	return field.ErrorList{field.Invalid(path, "", fmt.Sprintf("must not be longer than %d bytes", limit))}
}
