package routing

import (
	"fmt"
	"net/netip"
	"testing"

	discovery "k8s.io/api/discovery/v1"
)

func bigTable(n int) *Table {
	var all []Entry
	for i := range n {
		all = append(all, entry(fmt.Sprint("s", i), 1, "10.1.0.1:1", fmt.Sprintf("10.%d.%d.1:80", i/250, i%250)))
	}
	t, _ := (&Table{}).With(all...)
	return t
}

// One Service of many changes: the cost must not grow with the number of Services.
func BenchmarkReplaceOne(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) {
			t := bigTable(n)
			versions := []Entry{entry("s7", 1, "10.1.0.2:1", "10.0.7.1:80"), entry("s7", 1, "10.1.0.3:1", "10.0.7.1:80")}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, changed := t.With(versions[i%2]); len(changed) != 1 {
					b.Fatal(changed)
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) {
			for b.Loop() {
				bigTable(n)
			}
		})
	}
}

func BenchmarkFrontends(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) {
			var eps []discovery.Endpoint
			for i := range n {
				eps = append(eps, ep(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "rs"))
			}
			svc, in := service(), []*discovery.EndpointSlice{slice(eps...)}
			b.ReportAllocs()
			for b.Loop() {
				Frontends(here, svc, in)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	t := bigTable(10000)
	to := netip.MustParseAddrPort("10.0.7.1:80")
	for b.Loop() {
		if _, _, ok := t.Lookup(Origin{}, to, TCP); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkPick(b *testing.B) {
	weights := make([]uint32, 10000)
	for i := range weights {
		weights[i] = uint32(1 + i%3)
	}
	k := NewPicker(poolWith(weights[:200]...), Random)
	var r uint64
	for b.Loop() {
		r += 0x9e3779b97f4a7c15
		if _, ok := k.Pick(Draw{Random: r}); !ok {
			b.Fatal("nothing")
		}
	}
}
