package membership

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Upstream writes Endpoints over capacity each time that it looks at them.
func TestOverCapacityIsWrittenOnce(t *testing.T) {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web"}, Spec: v1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, ClusterIP: "10.96.0.1", Ports: []v1.ServicePort{{Port: 80}},
	}}
	var pods []*v1.Pod
	for i := range MaxAddresses + 100 {
		pods = append(pods, &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: fmt.Sprintf("p%d", i), UID: types.UID(fmt.Sprint(i)),
				Labels: svc.Spec.Selector},
			Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)},
		})
	}
	first := desiredEndpoints(svc, OfPods(svc, pods, nil), nil)
	if first.Annotations[v1.EndpointsOverCapacity] != "truncated" {
		t.Fatalf("%d Pods are not too many: %v", len(pods), first.Annotations)
	}
	Stamp(first, metav1.Unix(1000, 0).Time)
	if again := desiredEndpoints(svc, OfPods(svc, pods, nil), first); again != first {
		t.Error("nothing has changed, and it is to be written again")
	}
	if fewer := desiredEndpoints(svc, OfPods(svc, pods[:1000], nil), first); fewer == first ||
		fewer.Annotations[v1.EndpointsOverCapacity] != "" {
		t.Error("they have room again, and still say that they do not")
	}
}
