package endpoints_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/endpoints"
	"viaduct/internal/resolver"
)

// world is a real API server with a running controller.
type world struct {
	t          *testing.T
	server     *apitest.Server
	client     *kubernetes.Clientset
	controller *endpoints.Controller
	stop       func() // the controller
	names      resolver.Options
}

func newWorld(t *testing.T) *world { return newWorldWith(t, resolver.Options{}) }

func newWorldWith(t *testing.T, resolving resolver.Options) *world {
	w := &world{t: t, server: apitest.Start(t), names: resolving}
	w.client = w.server.Client(t)
	w.startController()
	return w
}

// startController runs a controller with the rights of one, and no more.
func (w *world) startController(which ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	c := endpoints.New(w.server.ClientAs(w.t, apiserver.UserController), endpoints.Options{Controllers: which,
		Log: slog.New(slog.DiscardHandler), Names: w.names})
	w.controller = c
	go func() { done <- c.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the controller ended with: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
}

func (w *world) service(name string, change ...func(*v1.Service)) *v1.Service {
	w.t.Helper()
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []v1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	made, err := w.client.CoreV1().Services("default").Create(w.t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func withoutSelector(svc *v1.Service) { svc.Spec.Selector = nil }

// pod makes a Pod with label app, running at ip.
func (w *world) pod(name, app, ip string, ready bool) {
	w.t.Helper()
	_, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec:       v1.PodSpec{NodeName: "n1", Containers: []v1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.status(name, ip, v1.PodRunning, ready)
}

func (w *world) status(pod, ip string, phase v1.PodPhase, ready bool) {
	w.t.Helper()
	condition := v1.PodCondition{Type: v1.PodReady, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now()}
	if ready {
		condition.Status = v1.ConditionTrue
	}
	w.patch("pods", pod, map[string]any{"status": v1.PodStatus{
		Phase: phase, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}}, Conditions: []v1.PodCondition{condition},
	}}, "status")
}

func (w *world) patch(resource, name string, change any, subresources ...string) {
	w.t.Helper()
	body, err := json.Marshal(change)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.client.CoreV1().RESTClient().Patch(types.MergePatchType).Namespace("default").Resource(resource).Name(name).
		SubResource(subresources...).Body(body).Do(w.t.Context()).Error()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) endpoints(name string, ips ...string) {
	w.t.Helper()
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: 5432}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: ip})
	}
	_, err := w.client.CoreV1().Endpoints("default").Create(w.t.Context(), &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subsets: []v1.EndpointSubset{subset},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// spellEndpoints writes Endpoints down: "ready 10.0.0.1 not-ready 10.0.0.2 ports 8080", or "none".
func spellEndpoints(ep *v1.Endpoints) string {
	var parts []string
	for _, s := range ep.Subsets {
		for _, a := range s.Addresses {
			parts = append(parts, "ready "+a.IP)
		}
		for _, a := range s.NotReadyAddresses {
			parts = append(parts, "not-ready "+a.IP)
		}
		for _, p := range s.Ports {
			parts = append(parts, fmt.Sprintf("port %d", p.Port))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// wait watches until show says want.
func (w *world) wait(what string, start func(metav1.ListOptions) (watch.Interface, error), show func() string,
	want string) {
	w.t.Helper()
	events, err := start(metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer events.Stop()
	late := time.After(20 * time.Second)
	for {
		got := show()
		if got == want {
			return
		}
		select {
		case <-events.ResultChan():
		case <-late:
			w.t.Fatalf("%s: %s, want %s", what, got, want)
		}
	}
}

func (w *world) waitEndpoints(name, want string) {
	w.t.Helper()
	api := w.client.CoreV1().Endpoints("default")
	w.wait("endpoints "+name, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) },
		func() string {
			ep, err := api.Get(w.t.Context(), name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return "gone"
			}
			if err != nil {
				w.t.Fatal(err)
			}
			return spellEndpoints(ep)
		}, want)
}

func (w *world) slices(service string) []discovery.EndpointSlice {
	w.t.Helper()
	list, err := w.client.DiscoveryV1().EndpointSlices("default").List(w.t.Context(),
		metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + service})
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// waitSlices waits for the sorted addresses of a Service's slices, each with its conditions.
func (w *world) waitSlices(service, want string) {
	w.t.Helper()
	api := w.client.DiscoveryV1().EndpointSlices("default")
	w.wait("slices of "+service, func(o metav1.ListOptions) (watch.Interface, error) {
		return api.Watch(w.t.Context(),
			o)
	}, func() string {
		items := w.slices(service)
		if len(items) == 0 {
			return "gone"
		}
		var parts []string
		for _, s := range items {
			for _, e := range s.Endpoints {
				parts = append(parts, e.Addresses[0]+" "+conditions(e.Conditions))
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}, want)
}

func conditions(c discovery.EndpointConditions) string {
	switch {
	case c.Terminating != nil && *c.Terminating:
		return "terminating"
	case *c.Ready:
		return "ready"
	}
	return "not-ready"
}
