package allocation_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/apitest"
)

// BenchmarkAllocation measures create and delete of a Service with an address, or with a node port too, by eight
// concurrent clients, beside a number of other Services. The results should not depend on that number.
func BenchmarkAllocation(b *testing.B) {
	for _, beside := range []int{0, 2000} {
		server := apitest.Start(b)
		client := server.Client(b)
		fill(b, server, beside)
		for _, kind := range []corev1.ServiceType{corev1.ServiceTypeExternalName, corev1.ServiceTypeClusterIP,
			corev1.ServiceTypeNodePort} {
			b.Run(fmt.Sprintf("%s/beside=%d", kind, beside), func(b *testing.B) {
				var next atomic.Int64
				b.SetParallelism(4)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						svc := service(fmt.Sprint("b", next.Add(1)), ofType(kind))
						svc.Spec.ExternalName = map[bool]string{true: "example.com"}[kind == corev1.ServiceTypeExternalName]
						if _, err := create(b.Context(), client, svc); err != nil {
							b.Error(err)
							return
						}
						if err := client.CoreV1().Services("default").Delete(b.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
		server.Stop()
	}
}

func fill(b *testing.B, server *apitest.Server, count int) {
	b.Helper()
	client := server.Client(b)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := i; n < count; n += 8 {
				if _, err := create(b.Context(), client, service(fmt.Sprint("s", n))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}
