package routing

import (
	"testing"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

func TestEffective(t *testing.T) {
	slice := func(name, of string) *discovery.EndpointSlice {
		s := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if of != "" {
			s.Annotations = map[string]string{annotations.Shadows: of}
		}
		return s
	}
	ending := slice("ending", "c")
	now := metav1.Now()
	ending.DeletionTimestamp = &now
	got := ""
	for _, s := range Effective([]*discovery.EndpointSlice{slice("a", ""), slice("b", ""), slice("x", "a"), slice("c", ""),
		ending, slice("y", "gone")}) {
		got += s.Name + " "
	}
	if got != "b x c ending y " {
		t.Errorf("what counts is %s", got)
	}
}
