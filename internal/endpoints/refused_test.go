package endpoints_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/annotations"
	"viaduct/internal/endpoints"
)

// An API server that is not Viaduct's stores annotations that make no sense: each is told once, and its addresses count
// as unchecked.
func TestAnnotationsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	slice := func(name, check string) *discovery.EndpointSlice {
		port := int32(80)
		s := &discovery.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-slice",
				Labels: map[string]string{discovery.LabelServiceName: "db"}, Annotations: map[string]string{}},
			AddressType: discovery.AddressTypeIPv4, Ports: []discovery.EndpointPort{{Port: &port}},
			Endpoints: []discovery.Endpoint{{Addresses: []string{"192.0.2.7"}}},
		}
		if check != "" {
			s.Annotations[annotations.HealthCheck] = check
		}
		return s
	}
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "uid-service",
		Annotations: map[string]string{annotations.WhenAllDown: "panic"}},
		Spec: v1.ServiceSpec{ClusterIP: "10.0.0.1", IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
			Ports: []v1.ServicePort{{Port: 80}}}}
	ep := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "uid-endpoints",
		Annotations: map[string]string{annotations.HealthCheck: "ping"}}}
	client := fake.NewClientset(svc, ep, slice("a", "tcp interval=no"), slice("b", ""), slice("c", "http:/"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := endpoints.New(client, endpoints.Options{Log: slog.New(slog.DiscardHandler)})
	go func() { done <- c.Run(ctx) }()
	watch, err := client.DiscoveryV1().EndpointSlices("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for i := range 5 { // so often it is looked at
		address := fmt.Sprintf("192.0.2.%d", i+100)
		changed := ep.DeepCopy()
		changed.Subsets = []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: address}},
			Ports: []v1.EndpointPort{{Port: 80}}}}
		if _, err := client.CoreV1().Endpoints("default").Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for mirrored := false; !mirrored; {
			s := (<-watch.ResultChan()).Object.(*discovery.EndpointSlice)
			mirrored = len(s.Endpoints) == 1 && s.Endpoints[0].Addresses[0] == address
			if mirrored && s.Endpoints[0].Conditions.Serving != nil {
				t.Errorf("%s counts as checked", address)
			}
		}
	}
	cancel()
	if err := <-done; err != nil { // with it the last event is written
		t.Errorf("the controller ended with: %v", err)
	}
	list, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range list.Items {
		if e.Reason == "InvalidAnnotation" {
			told = append(told, fmt.Sprintf("%s %s %d: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Count, e.Message))
		}
	}
	slices.Sort(told)
	want := []string{"EndpointSlice a 1", "EndpointSlice c 1", "Endpoints db 1", "Service db 1"}
	if !slices.EqualFunc(told, want, strings.HasPrefix) {
		t.Errorf("told:\n%s\nwant %v", strings.Join(told, "\n"), want)
	}
}
