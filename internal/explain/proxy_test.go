package explain

import (
	"reflect"
	"strconv"
	"testing"

	v1 "k8s.io/api/core/v1"
)

// What a proxy serves and the Service does not have is reported in one order.
func TestProxyProblemsAreOrdered(t *testing.T) {
	s := newScene(func(svc *v1.Service) {
		for i := range 8 {
			svc.Spec.Ports = append(svc.Spec.Ports, v1.ServicePort{Name: "p" + strconv.Itoa(i), Port: int32(100 + i)})
		}
	})
	s.pod("web-1", "10.0.0.1")
	s.controlled().proxied()
	s.Service.Spec.Ports = s.Service.Spec.Ports[:1]
	first := s.report()
	extra := 0
	for _, p := range first.Problems {
		if p.Stage == StageProxy {
			extra++
		}
	}
	if extra < 8 {
		t.Fatalf("%d problems of the proxy: %+v", extra, first.Problems)
	}
	for range 20 {
		if again := s.report(); !reflect.DeepEqual(again, first) {
			t.Fatalf("the report changed from\n%+v\nto\n%+v", first.Problems, again.Problems)
		}
	}
}
