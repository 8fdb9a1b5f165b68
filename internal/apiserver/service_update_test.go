package apiserver_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/apiserver/apitest"
)

// In a range of 14 addresses, a few addresses that failed tries do not release are enough to fail the test.
func TestRetriedUpdatesLeakNoAddress(t *testing.T) {
	client := apitest.StartIn(t, t.TempDir(), netip.MustParsePrefix("127.96.0.0/28")).Client(t)
	create(t, client, service("a"))
	patch := func(body string) {
		_, err := client.CoreV1().Services("default").Patch(t.Context(), "a", types.MergePatchType, []byte(body),
			metav1.PatchOptions{})
		if err != nil {
			t.Error(err)
		}
	}
	for i := range 20 {
		for _, spec := range []string{
			`{"spec":{"type":"ExternalName","externalName":"a.example","clusterIP":"","clusterIPs":null}}`,
			`{"spec":{"type":"ClusterIP","externalName":null}}`,
		} {
			var all sync.WaitGroup
			all.Go(func() { patch(spec) })
			for j := range 4 { // concurrent writes
				all.Go(func() { patch(fmt.Sprintf(`{"metadata":{"labels":{"n%d":"%d-%d"}}}`, j, i, len(spec))) })
			}
			all.Wait()
		}
	}
	for i := range 12 { // one more has the Service kubernetes, and one a
		create(t, client, service(fmt.Sprint("b", i)))
	}
}

// Load balancers remove their finalizer through the status subresource.
func TestServiceRemovedByStatusReleasesAddress(t *testing.T) {
	client := apitest.Start(t).Client(t)
	services := client.CoreV1().Services("default")
	create(t, client, service("a", withClusterIP("127.96.3.3"),
		func(s *corev1.Service) { s.Finalizers = []string{"example.com/balancer"} }))
	if err := services.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	free := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := services.Patch(t.Context(), "a", types.MergePatchType, free, metav1.PatchOptions{},
		"status"); err != nil {
		t.Fatal(err)
	}
	if b := create(t, client, service("b", withClusterIP("127.96.3.3"))); b.Spec.ClusterIP != "127.96.3.3" {
		t.Errorf("b is at %s", b.Spec.ClusterIP)
	}
}
