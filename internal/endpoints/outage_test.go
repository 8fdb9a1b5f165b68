package endpoints_test

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"viaduct/internal/endpoints"
)

// waitCondition waits for what the condition of a Service says, as "status reason", "" if there is none.
func (w *world) waitCondition(name, want string) (message string) {
	w.t.Helper()
	api := w.client.CoreV1().Services("default")
	w.wait("the condition of "+name, func(o metav1.ListOptions) (watch.Interface, error) {
		return api.Watch(w.t.Context(),
			o)
	}, func() string {
		svc, err := api.Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		c := meta.FindStatusCondition(svc.Status.Conditions, endpoints.ConditionAvailable)
		if c == nil {
			return ""
		}
		message = c.Message
		return string(c.Status) + " " + c.Reason
	}, want)
	return message
}

// A Service that nobody is behind says so, and why, in the words of explain; and when it is over. One that is well says
// nothing.
func TestOutageIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service("web")
	w.pod("web-1", "Web", "10.9.0.1", true)
	w.service("port", func(svc *v1.Service) {
		svc.Spec.Selector["app"], svc.Spec.Ports[0].TargetPort = "Web", intstr.FromString("nope")
	})
	w.service("well", func(svc *v1.Service) { svc.Spec.Selector["app"] = "Web" })
	if m := w.waitCondition("web", "False SelectorMatchesNothing"); m != "No endpoints: the selector says app=web, the "+
		"Pod web-1 says app=Web." {
		t.Errorf("the condition says %q", m)
	}
	if m := w.waitEvent("web", "NoEndpoints"); !strings.Contains(m, "the Pod web-1 says app=Web.") {
		t.Errorf("the event says %q", m)
	}
	if m := w.waitCondition("port", "False NoPodReady"); !strings.Contains(m, `has no container port named "nope"`) {
		t.Errorf("of a port that no container has the condition says %q", m)
	}
	w.pod("web-2", "web", "10.9.0.2", false)
	if m := w.waitCondition("web", "False NoPodReady"); !strings.Contains(m,
		"No endpoints: one Pod matches the selector, and none gets connections: web-2 ") {
		t.Errorf("the condition says %q", m)
	}
	w.stop()
	w.startController() // it knows by the condition that the outage was told
	w.status("web-2", "10.9.0.2", v1.PodRunning, true)
	w.waitCondition("web", "True Available")
	w.waitEvent("web", "EndpointsAvailable")
	w.waitCondition("well", "")
}
