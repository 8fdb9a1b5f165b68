package apiclient

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

func TestIndexByService(t *testing.T) {
	slice := func(labels map[string]string) *discovery.EndpointSlice {
		return &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: labels}}
	}
	for _, tt := range []struct {
		obj  any
		want []string
	}{
		{slice(map[string]string{discovery.LabelServiceName: "web"}), []string{"shop/web"}},
		{slice(nil), nil},
		{&v1.Pod{}, nil},
	} {
		if got, err := IndexByService(tt.obj); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v, %v, want %v", tt.obj, got, err, tt.want)
		}
	}
}

func TestWithoutManagedFields(t *testing.T) {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}}}
	if got, err := WithoutManagedFields(pod); err != nil || got != any(pod) || pod.ManagedFields != nil ||
		pod.Name != "a" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := WithoutManagedFields("text"); err != nil || got != "text" {
		t.Errorf("what is no object becomes %v, %v", got, err)
	}
}

func TestHandler(t *testing.T) {
	type change struct {
		before, after *v1.Pod
		listed        bool
	}
	var got []change
	h := Handler(func(before, after *v1.Pod, listed bool) { got = append(got, change{before, after, listed}) })
	a, b := &v1.Pod{}, &v1.Pod{}
	h.OnAdd(a, true)
	h.OnUpdate(a, b)
	h.OnDelete(b)
	h.OnDelete(cache.DeletedFinalStateUnknown{Obj: a})
	h.OnDelete(cache.DeletedFinalStateUnknown{Obj: &v1.Service{}})
	want := []change{{nil, a, true}, {a, b, false}, {b, nil, false}, {a, nil, false}}
	if !slices.Equal(got, want) {
		t.Errorf("the handler reports %v, want %v", got, want)
	}
}

func TestNewRecorder(t *testing.T) {
	client := fake.NewClientset()
	events, err := client.CoreV1().Events("shop").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	recorder, stop := NewRecorder(client, v1.EventSource{Component: "tester"})
	defer stop()
	recorder.Event(&v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}, v1.EventTypeNormal,
		"Tested",
		"by a test")
	select {
	case got := <-events.ResultChan():
		if e := got.Object.(*v1.Event); e.Source.Component != "tester" || e.Reason != "Tested" ||
			e.InvolvedObject.Name != "web" {
			t.Errorf("the Event is %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no Event arrived")
	}
}
