package apiserver_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/apitest"
)

// A create whose name exists may ask for what the existing Service holds. The existing Service keeps it.
func TestRefusedDuplicateReleasesNothing(t *testing.T) {
	services := apitest.Start(t).Client(t).CoreV1().Services("default")
	twin := func(name string) *corev1.Service {
		return service(name, withClusterIP("127.96.3.3"), withType(corev1.ServiceTypeNodePort),
			func(s *corev1.Service) { s.Spec.Ports[0].NodePort = 31234 })
	}
	if _, err := services.Create(t.Context(), twin("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
		if made, err := services.Create(t.Context(), twin("a"),
			metav1.CreateOptions{DryRun: dryRun}); !apierrors.IsAlreadyExists(err) {
			t.Errorf("creating a again (dry run %v): %v at %s, want it to be there already", dryRun, err, made.Spec.ClusterIP)
		}
		if made, err := services.Create(t.Context(), twin("b"), metav1.CreateOptions{DryRun: dryRun}); !apierrors.IsInvalid(
			err) {
			t.Errorf("creating b (dry run %v): %v at %s, want it refused as invalid", dryRun, err, made.Spec.ClusterIP)
		}
	}
}
