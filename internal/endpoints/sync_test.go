package endpoints

import (
	"context"
	"errors"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/membership"
)

// Upstream writes Endpoints over capacity each time that it looks at them.
func TestOverCapacityIsWrittenOnce(t *testing.T) {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web"}, Spec: v1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, ClusterIP: "10.96.0.1", Ports: []v1.ServicePort{{Port: 80}},
	}}
	var pods []*v1.Pod
	for i := range membership.MaxAddresses + 100 {
		pods = append(pods, &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: fmt.Sprintf("p%d", i), UID: types.UID(fmt.Sprint(i)),
				Labels: svc.Spec.Selector},
			Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)},
		})
	}
	first := desiredEndpoints(svc, membership.OfPods(svc, pods, nil), nil)
	if first.Annotations[v1.EndpointsOverCapacity] != "truncated" {
		t.Fatalf("%d Pods are not too many: %v", len(pods), first.Annotations)
	}
	membership.Stamp(first, metav1.Unix(1000, 0).Time)
	if again := desiredEndpoints(svc, membership.OfPods(svc, pods, nil), first); again != first {
		t.Error("nothing has changed, and it is to be written again")
	}
	if fewer := desiredEndpoints(svc, membership.OfPods(svc, pods[:1000], nil), first); fewer == first ||
		fewer.Annotations[v1.EndpointsOverCapacity] != "" {
		t.Error("they have room again, and still say that they do not")
	}
}

func TestWhatIsWorthTelling(t *testing.T) {
	of := schema.GroupResource{Resource: "endpoints"}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"it went well":       {nil, false},
		"a conflict":         {apierrors.NewConflict(of, "web", errors.New("changed")), false},
		"made by another":    {apierrors.NewAlreadyExists(of, "web"), false},
		"stopped":            {context.Canceled, false},
		"not allowed":        {apierrors.NewForbidden(of, "web", errors.New("no")), true},
		"refused as invalid": {apierrors.NewInvalid(schema.GroupKind{Kind: "Endpoints"}, "web", nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := worthTelling(c.err); got != c.want {
				t.Errorf("worth telling: %v, want %v", got, c.want)
			}
		})
	}
}
