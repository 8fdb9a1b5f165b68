package membership

import (
	"fmt"
	"testing"
)

// BenchmarkOneChange is what one flip of one Pod costs a Service of n, without the API.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			svc, pods := web(), somePods(0, n)
			var c cluster
			c.reconcile(b, svc, pods...)
			notReady(pods[n/2])
			b.ReportAllocs()
			for b.Loop() {
				members := OfPods(svc, pods, nil)
				Subsets(svc, members)
				if plan := PlanSlices(svc, members, c.slices); len(plan.Update) != 1 {
					b.Fatalf("%d updates", len(plan.Update))
				}
			}
		})
	}
}
