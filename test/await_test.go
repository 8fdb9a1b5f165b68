package test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/waitfor"
)

// await waits until an object of a namespace is as wanted, and returns it. An empty name means any object.
func await[T runtime.Object](t testing.TB, api cache.Getter, resource, namespace, name string, example T,
	done func(T) bool) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kind := waitfor.Kind{Client: api, Resource: resource, Namespace: namespace}
	found, err := waitfor.Object(ctx, kind, name, example, done)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (h *host) awaitPod(name string, as func(*v1.Pod) bool) *v1.Pod {
	h.t.Helper()
	return await(h.t, h.client().CoreV1().RESTClient(), "pods", metav1.NamespaceDefault, name, &v1.Pod{}, as)
}

func (h *host) awaitEndpoints(name string, ready int) *v1.Endpoints {
	h.t.Helper()
	return await(h.t, h.client().CoreV1().RESTClient(), "endpoints", metav1.NamespaceDefault, name, &v1.Endpoints{},
		func(e *v1.Endpoints) bool { return len(readyAddresses(e)) == ready })
}

// awaitWarning waits for a Warning event about the object, with the reason and a piece of the message.
func (h *host) awaitWarning(kind, name, reason, message string) *v1.Event {
	h.t.Helper()
	return await(h.t, h.client().CoreV1().RESTClient(), "events", metav1.NamespaceDefault, "", &v1.Event{},
		func(e *v1.Event) bool {
			return e.Type == v1.EventTypeWarning && e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name &&
				e.Reason == reason &&
				strings.Contains(e.Message, message)
		})
}

func (h *host) service(name string) *v1.Service {
	h.t.Helper()
	svc, err := h.client().CoreV1().Services(metav1.NamespaceDefault).Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return svc
}

// url is where the Service is reached by HTTP, at its first port.
func (h *host) url(name string) string {
	h.t.Helper()
	svc := h.service(name)
	return fmt.Sprintf("http://%s:%d", svc.Spec.ClusterIP, svc.Spec.Ports[0].Port)
}

func podReady(p *v1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

func readyAddresses(e *v1.Endpoints) []string {
	var all []string
	for _, s := range e.Subsets {
		for _, a := range s.Addresses {
			all = append(all, a.IP)
		}
	}
	return all
}
