package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

// BenchmarkConnect tells how the rate of short connections by a ClusterIP compares with that of direct ones on a node
// without the table (and so without connection tracking), measured in turn: from a Pod of the node to another, connect,
// a line, close. The metric "of-direct" is the median of the ratios.
func BenchmarkConnect(b *testing.B) {
	for _, services := range []int{1, 1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			plain, lab := proxytest.NewLab(b), proxytest.NewLab(b)
			var backend *nft.Backend
			lab.In(proxytest.Node, func() (err error) {
				backend, err = nft.New(nft.Options{Pods: proxytest.PodRanges()})
				return err
			})
			b.Cleanup(func() { _ = backend.Leave() })
			server := netip.AddrPortFrom(proxytest.PodA.Addr(false), 8080)
			for _, in := range []*proxytest.Lab{plain, lab} {
				in.Serve(proxytest.PodA, server, routing.TCP)
			}
			place := netip.MustParseAddrPort("10.96.0.10:80")
			lab.In(proxytest.Node, func() error {
				return backend.Sync(context.Background(), manyServices(services, place,
					server), nil)
			})
			for _, h := range []proxytest.Host{proxytest.PodA, proxytest.PodB} {
				for _, in := range []*proxytest.Lab{plain, lab} {
					in.In(h, func() error { return os.WriteFile("/proc/sys/net/ipv4/tcp_max_tw_buckets", []byte("0"), 0o644) })
				}
			}
			lab.In(proxytest.Node, func() error {
				return os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait", []byte("1"), 0o644)
			})
			var ratios []float64
			measure := func(in *proxytest.Lab, to netip.AddrPort) (took time.Duration) {
				in.In(proxytest.PodB, func() (err error) {
					took, err = connections(to, 1000)
					return err
				})
				return took
			}
			for b.Loop() {
				ratios = append(ratios, float64(measure(plain, server))/float64(measure(lab, place)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "of-direct")
		})
	}
}

// connections makes n connections one after the other, and says how long that took.
func connections(to netip.AddrPort, n int) (time.Duration, error) {
	started, buf := time.Now(), make([]byte, 100)
	for range n {
		fd, err := proxytest.Connect(to, routing.TCP, 5*time.Second)
		if err != nil {
			return 0, err
		}
		if _, err := proxytest.Read(fd, buf); err != nil {
			return 0, err
		}
		if err := unix.Close(fd); err != nil {
			return 0, err
		}
	}
	return time.Since(started), nil
}

// manyServices is a table with n Services of ten endpoints each, the first of which is at place and has one.
func manyServices(n int, place, server netip.AddrPort) *routing.Table {
	p := routing.Pool{Backends: []routing.Backend{{Addr: server, Weight: 1, Local: true}}, Why: routing.All}
	first := routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: place.Addr(), Port: place.Port(),
		Proto: routing.TCP}, Inside: p, Outside: p}
	var entries []routing.Entry
	for i := range n {
		f := first
		f.Service = routing.Name{Namespace: "test", Name: fmt.Sprintf("s%d", i)}
		if i > 0 {
			f.Addr = netip.AddrFrom4([4]byte{10, 97, byte(i >> 8), byte(i)})
			f.Inside = pool(false, 10)
			f.Outside = f.Inside
		}
		entries = append(entries, routing.Entry{Service: f.Service, Frontends: []routing.Frontend{f}})
	}
	return with(entries...)
}
