package explain_test

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/explain"
	"viaduct/internal/membership"
)

// A selector that differs from the labels of the Pods by case.
func ExampleService() {
	in := membership.Inputs{
		Service: &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
			Spec: v1.ServiceSpec{ClusterIP: "10.96.0.1", Selector: map[string]string{"app": "web"},
				Ports: []v1.ServicePort{{Port: 80}}},
		},
		Pods: []*v1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1",
			Labels: map[string]string{"app": "Web"}}}},
		Controllers: membership.AllControllers(),
	}
	d := membership.Decide(in)
	in.Endpoints, in.Slices = d.Endpoints, d.Plan(membership.SliceManagedBy).Create // as the controller writes them
	report := explain.Service(explain.Snapshot{Inputs: in, Decision: membership.Decide(in)})
	fmt.Println(report.Verdict)
	// Output: No endpoints: the selector says app=web, the Pod web-1 says app=Web.
}
