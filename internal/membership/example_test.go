package membership_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/membership"
)

// A Pod that is selected and not ready is listed, and gets no connections.
func ExampleJudge() {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       v1.ServiceSpec{Selector: map[string]string{"app": "web"}},
	}
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{"app": "web"}},
		Status:     v1.PodStatus{Phase: v1.PodRunning, PodIP: "10.0.0.1"},
	}
	v := membership.Judge(svc, pod)
	fmt.Printf("listed %v, ready %v: %s %s\n", v.In, v.Ready, pod.Name, v.Why.Sentence())
	// Output: listed true, ready false: web-1 is not ready
}

// The Decision for a Service without a selector, of which one address does not answer its health check.
func ExampleDecide() {
	in := membership.Inputs{
		Service: &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db",
				Annotations: map[string]string{"viaduct.dev/health-check": "tcp"}},
			Spec: v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 5432}}},
		},
		Endpoints: &v1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
			Subsets: []v1.EndpointSubset{{Ports: []v1.EndpointPort{{Port: 5432}},
				Addresses: []v1.EndpointAddress{{IP: "10.9.0.1"}, {IP: "10.9.0.2"}}}},
		},
		Controllers: membership.AllControllers(),
	}
	in.Lookups.Finding = func(t membership.HealthTarget) (membership.Finding, bool) {
		if t.Addr.String() == "10.9.0.2:5432" {
			return membership.Finding{State: membership.Down, Cause: "connection refused"}, true
		}
		return membership.Finding{State: membership.Up}, true
	}
	d := membership.Decide(in)
	for _, a := range d.Addresses {
		fmt.Printf("%s %s (%q)\n", a.Addr, a.Why.Sentence(), a.Finding.Cause)
	}
	fmt.Println("slices to create:", len(d.Plan(membership.MirrorManagedBy).Create))
	// Output:
	// 10.9.0.1 answers its health check ("")
	// 10.9.0.2 does not answer its health check ("connection refused")
	// slices to create: 1
}
