package userspace_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"

	"viaduct/internal/proxy/userspace"
	"viaduct/internal/routing"
)

// benchAddr is host part n of a /24 of this process, not the suite's.
func benchAddr(n byte) netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(200 + pid%40), byte(pid / 40 % 250), n})
}

// echo sends everything back.
func echo(b testing.TB) netip.AddrPort {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(benchAddr(1), 0)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// served is a Frontend of the userspace proxy with the endpoints eps.
func served(b testing.TB, opts userspace.Options, eps ...netip.AddrPort) (netip.AddrPort, *userspace.Backend) {
	at := netip.AddrPortFrom(benchAddr(2), 7090)
	p := routing.Pool{Empty: routing.Reject, Why: routing.All}
	for _, e := range eps {
		p.Backends = append(p.Backends, routing.Backend{Addr: e, Weight: 1})
	}
	name := routing.Name{Namespace: "bench", Name: "b"}
	f := routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: at.Addr(), Port: at.Port(), Proto: routing.TCP},
		Service: name, Inside: p, Outside: p, Policy: routing.Random}
	tab, changed := (&routing.Table{}).With(routing.Entry{Service: name, Frontends: []routing.Frontend{f}})
	back := userspace.New(opts)
	b.Cleanup(func() { back.Close() })
	if err := back.Sync(b.Context(), tab, changed); err != nil {
		b.Fatal(err)
	}
	return at, back
}

// ways runs bench against an endpoint directly and through the proxy: the ratio is what the proxy costs.
func ways(b *testing.B, bench func(*testing.B, netip.AddrPort)) {
	direct := echo(b)
	through, _ := served(b, userspace.Options{}, direct)
	b.Run("direct", func(b *testing.B) { bench(b, direct) })
	b.Run("proxy", func(b *testing.B) { bench(b, through) })
}

// BenchmarkShort is a connection with one small request and its answer, from connect to the end of both sides.
func BenchmarkShort(b *testing.B) {
	ways(b, func(b *testing.B, to netip.AddrPort) {
		b.RunParallel(func(pb *testing.PB) {
			buf := make([]byte, 128)
			for pb.Next() {
				c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := c.Write(buf); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
				c.Close()
			}
		})
	})
}

// BenchmarkRequest is a small request and its answer on a connection that stays.
func BenchmarkRequest(b *testing.B) {
	ways(b, func(b *testing.B, to netip.AddrPort) {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		buf := make([]byte, 128)
		for b.Loop() {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkThroughput is one way of a connection that carries much.
func BenchmarkThroughput(b *testing.B) {
	sink, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(benchAddr(3), 0)))
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	go func() {
		for {
			c, err := sink.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 256<<10)
				for {
					if _, err := c.Read(buf); err != nil {
						c.Close()
						return
					}
				}
			}()
		}
	}()
	direct := sink.Addr().(*net.TCPAddr).AddrPort()
	through, _ := served(b, userspace.Options{}, direct)
	for way, to := range map[string]netip.AddrPort{"direct": direct, "proxy": through} {
		b.Run(way, func(b *testing.B) {
			c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 256<<10)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			c.CloseWrite()
			c.Read(buf)
			c.Close()
		})
	}
}

// BenchmarkSync is one Service of many that gets another endpoint.
func BenchmarkSync(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint("services=", n), func(b *testing.B) { benchSync(b, n) })
	}
}

func benchSync(b *testing.B, n int) {
	entry := func(i int, to string) routing.Entry {
		name := routing.Name{Namespace: "bench", Name: fmt.Sprint("s", i)}
		p := routing.Pool{Backends: []routing.Backend{{Addr: netip.MustParseAddrPort(to), Weight: 1}}, Empty: routing.Reject,
			Why: routing.All}
		f := routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: benchAddr(4), Port: uint16(7100 + i),
			Proto: routing.TCP}, Service: name, Inside: p, Outside: p, Policy: routing.Random}
		return routing.Entry{Service: name, Frontends: []routing.Frontend{f}}
	}
	var all []routing.Entry
	for i := range n {
		all = append(all, entry(i, "127.0.0.1:1"))
	}
	tab, _ := (&routing.Table{}).With(all...)
	back := userspace.New(userspace.Options{})
	defer back.Close()
	if err := back.Sync(b.Context(), tab, nil); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		next, changed := tab.With(entry(7, fmt.Sprint("127.0.0.1:", 2+i%2)))
		if err := back.Sync(b.Context(), next, changed); err != nil {
			b.Fatal(err)
		}
		tab = next
	}
}
