package validation

import (
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func validEvent() *v1.Event {
	return &v1.Event{ObjectMeta: meta("a"), InvolvedObject: v1.ObjectReference{Namespace: "a"}}
}

// ofToday makes an event one of the form that has an eventTime.
func ofToday(e *v1.Event) {
	e.EventTime = metav1.NewMicroTime(time.Unix(1, 0))
	e.ReportingController, e.ReportingInstance, e.Action, e.Reason = "example.com/c", "c-1", "Binding", "Scheduled"
}

func TestEvent(t *testing.T) {
	in := func(event, involved string) func(*v1.Event) {
		return func(e *v1.Event) { e.Namespace, e.InvolvedObject.Namespace = event, involved }
	}
	today := func(build func(*v1.Event)) func(*v1.Event) {
		return func(e *v1.Event) { ofToday(e); build(e) }
	}
	const involved = "Invalid involvedObject.namespace"
	long := strings.Repeat("a", 129)
	rules(t, validEvent, DefaultEvent, ValidateEvent, []rule[*v1.Event]{
		{"valid", nil, ""},
		{"of the cluster, in default", in("default", ""), ""},
		{"of the cluster, in kube-system", in("kube-system", ""), involved},
		{"of the cluster, elsewhere", in("a", ""), involved},
		{"of another namespace", in("a", "b"), involved},
		{"in a namespace that cannot be", in("A", "A"), "Invalid namespace"},
		{"any name", func(e *v1.Event) { e.Name = "Host.A" }, ""},
		{"of today", ofToday, ""},
		{"of today, of the cluster, in default", today(in("default", "")), ""},
		{"of today, of the cluster, in kube-system", today(in("kube-system", "")), ""},
		{"of today, of the cluster, elsewhere", today(in("a", "")), involved},
		{"of today, of another namespace", today(in("a", "b")), ""},
		{"no controller", today(func(e *v1.Event) { e.ReportingController = "" }),
			"Required reportingController\nInvalid reportingController"},
		{"controller, malformed", today(func(e *v1.Event) { e.ReportingController = "a b" }), "Invalid reportingController"},
		{"no instance", today(func(e *v1.Event) { e.ReportingInstance = "" }), "Required reportingInstance"},
		{"instance too long", today(func(e *v1.Event) { e.ReportingInstance = long }), "Invalid reportingInstance"},
		{"no action", today(func(e *v1.Event) { e.Action = "" }), "Required action"},
		{"action too long", today(func(e *v1.Event) { e.Action = long }), "Invalid action"},
		{"no reason", today(func(e *v1.Event) { e.Reason = "" }), "Required reason"},
		{"reason too long", today(func(e *v1.Event) { e.Reason = long }), "Invalid reason"},
		{"message too long", today(func(e *v1.Event) { e.Message = strings.Repeat("a", 1025) }), "Invalid message"},
		{"message just not too long", today(func(e *v1.Event) { e.Message = strings.Repeat("a", 1024) }), ""},
	})
	changes(t, validEvent, DefaultEvent, ValidateEventUpdate, []change[*v1.Event]{
		{"count", nil, func(e *v1.Event) { e.Count++ }, ""},
		{"of another namespace", nil, in("a", "b"), involved},
		{"reason", nil, func(e *v1.Event) { e.Reason = "Killing" }, ""},
	})
}
