package proxytest

import (
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// The places of Services: cluster IPs, and external addresses that are routed to the node.
func clusterIP(v6 bool, n byte) netip.Addr {
	if v6 {
		a := netip.MustParseAddr("fd00:96::").As16()
		a[15] = n
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{10, 96, 0, n})
}

func externalIP(v6 bool, n byte) netip.Addr {
	if v6 {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[15] = n
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, n})
}

// service returns the Frontends of a Service of all kinds. With local, its externalTrafficPolicy is Local.
func service(name string, v6 bool, proto routing.Proto, local bool, eps ...netip.AddrPort) []routing.Frontend {
	cluster := clusterFrontend(name, netip.AddrPortFrom(clusterIP(v6, 10), 80), proto, eps...)
	all := []routing.Frontend{cluster}
	for kind, at := range map[routing.Kind]netip.AddrPort{
		routing.ExternalIP:   netip.AddrPortFrom(externalIP(v6, 10), 80),
		routing.LoadBalancer: netip.AddrPortFrom(externalIP(v6, 11), 80),
		routing.NodePort:     netip.AddrPortFrom(Node.Addr(v6), 30080),
	} {
		f := cluster
		f.Kind, f.Addr, f.Port, f.Outside.SNAT = kind, at.Addr(), at.Port(), !local
		if local {
			f.Outside = localPool(eps)
		}
		all = append(all, f)
	}
	return all
}

// localPool returns the endpoints that externalTrafficPolicy Local keeps.
func localPool(eps []netip.AddrPort) routing.Pool {
	p := poolOf(false, slices.DeleteFunc(slices.Clone(eps), func(a netip.AddrPort) bool { return !here(a.Addr()) })...)
	p.Empty = routing.Drop
	return p
}

// sctpWorks reports whether the kernel has SCTP.
func sctpWorks() bool {
	fd, err := streamSocket(netip.IPv4Unspecified(), routing.SCTP)
	if err == nil {
		err = unix.Close(fd)
	}
	return err == nil
}

func everything(l *lab) {
	for _, v6 := range []bool{false, true} {
		for _, proto := range []routing.Proto{routing.TCP, routing.UDP, routing.SCTP} {
			if proto == routing.SCTP && !sctpWorks() {
				l.Logf("SCTP is not tried: this kernel has none (CONFIG_IP_SCTP)")
				continue
			}
			eps := []netip.AddrPort{on(PodA, v6, 8080), on(FarPod, v6, 8080)}
			l.Serve(PodA, eps[0], proto)
			l.Serve(FarPod, eps[1], proto)
			for _, one := range [][]netip.AddrPort{eps, eps[:1], eps[1:]} {
				fs := service("a", v6, proto, false, one...)
				l.serve("a", fs...)
				for _, f := range fs {
					l.judgeAll(f.Dest().Addr, proto)
				}
			}
		}
	}
}

func hairpin(l *lab) {
	for _, v6 := range []bool{false, true} {
		at := on(PodA, v6, 8080)
		l.Serve(PodA, at, routing.TCP)
		fs := service("a", v6, routing.TCP, false, at)
		l.serve("a", fs...)
		for _, f := range fs {
			if got := l.judge(PodA, f.Dest().Addr, routing.TCP); !nodeAddress(got.Seen) {
				l.Errorf("a Pod that reaches itself sees %s", got.Seen)
			}
		}
	}
}

func withoutEndpoints(l *lab) {
	for _, v6 := range []bool{false, true} {
		at := on(PodA, v6, 8080)
		l.Serve(PodA, at, routing.TCP)
		l.Serve(PodA, at, routing.UDP)
		for _, proto := range []routing.Proto{routing.TCP, routing.UDP} {
			for _, eps := range [][]netip.AddrPort{{}, {at}, {}} {
				fs := service("a", v6, proto, false, eps...)
				l.serve("a", fs...)
				for _, f := range fs {
					l.judgeAll(f.Dest().Addr, proto)
				}
			}
		}
		for _, h := range origins { // a port that the Service does not have
			if _, err := l.Ask(h, netip.AddrPortFrom(clusterIP(v6, 10), 81), routing.TCP, answerPatience); !errors.Is(err,
				unix.ECONNREFUSED) {
				l.Errorf("%s to a port that the Service does not have: %v", h, err)
			}
		}
	}
}

func policies(l *lab) {
	for _, v6 := range []bool{false, true} {
		near, far := on(PodA, v6, 8080), on(FarPod, v6, 8080)
		l.Serve(PodA, near, routing.TCP)
		l.Serve(FarPod, far, routing.TCP)
		for _, eps := range [][]netip.AddrPort{{near, far}, {far}, {near}, {}} {
			fs := service("a", v6, routing.TCP, true, eps...)
			if len(eps) == 0 {
				for i := range fs {
					fs[i].Outside.Empty = routing.Reject
				}
			}
			l.serve("a", fs...)
			for _, f := range fs {
				l.judgeAll(f.Dest().Addr, routing.TCP)
			}
		}
		// internalTrafficPolicy Local, with endpoints on other nodes only.
		f := clusterFrontend("a", netip.AddrPortFrom(clusterIP(v6, 10), 80), routing.TCP)
		f.Inside.Empty, f.Outside.Empty = routing.Drop, routing.Drop
		l.serve("a", f)
		l.judgeAll(f.Dest().Addr, routing.TCP)
	}
}

func kernelRanges(l *lab) {
	for _, v6 := range []bool{false, true} {
		at := on(PodA, v6, 8080)
		l.Serve(PodA, at, routing.TCP)
		fs := service("a", v6, routing.TCP, false, at)
		for i := range fs {
			if fs[i].Kind == routing.LoadBalancer {
				client := Client.Addr(v6)
				wider, _ := client.Prefix(client.BitLen() - 1)
				fs[i].Allow = []netip.Prefix{wider, netip.PrefixFrom(client, client.BitLen()), netip.PrefixFrom(PodB.Addr(v6),
					client.BitLen())}
				slices.SortFunc(fs[i].Allow, netip.Prefix.Compare)
			}
		}
		l.serve("a", fs...)
		for _, f := range fs {
			for _, h := range []Host{Client, Stranger, PodA, PodB, FarPod} {
				l.judge(h, f.Dest().Addr, routing.TCP)
			}
		}
	}
}

func manyEndpoints(l *lab) {
	for _, n := range []int{64, 65, 200, 1000} {
		var eps []netip.AddrPort
		for i := range n {
			eps = append(eps, on(PodA, false, uint16(10000+i)))
		}
		f := clusterFrontend("a", netip.AddrPortFrom(clusterIP(false, 10), 80), routing.TCP, eps...)
		l.serve("a", f)
		if n == 65 {
			for _, e := range eps {
				l.Serve(PodA, e, routing.TCP)
			}
			l.spread(f, 20*n)
		}
	}
}

// spread connects n times and checks each backend's share: within six standard deviations of a fair draw.
func (l *lab) spread(f routing.Frontend, n int) {
	l.Helper()
	got := map[netip.AddrPort]int{}
	l.In(PodB, func() error {
		for range n {
			a, err := ask1(f.Dest().Addr, routing.TCP, answerPatience)
			if err != nil {
				return err
			}
			got[a.By]++
		}
		return nil
	})
	sum := uint32(0)
	for _, b := range f.Inside.Backends {
		sum += b.Weight
	}
	for _, b := range f.Inside.Backends {
		share := float64(b.Weight) / float64(sum)
		want := float64(n) * share
		if off := math.Abs(float64(got[b.Addr]) - want); off > 6*math.Sqrt(float64(n)*share*(1-share)) {
			l.Errorf("%s of weight %d got %d of %d connections, want about %.0f", b.Addr, b.Weight, got[b.Addr], n, want)
		}
	}
}

func weights(l *lab) {
	eps := []netip.AddrPort{on(PodA, false, 8080), on(PodA, false, 8081), on(PodA, false, 8082)}
	for _, e := range eps {
		l.Serve(PodA, e, routing.TCP)
	}
	f := clusterFrontend("a", netip.AddrPortFrom(clusterIP(false, 10), 80), routing.TCP, eps...)
	f.Inside.Backends[0].Weight, f.Inside.Backends[1].Weight, f.Inside.Backends[2].Weight = 2, 8, 0
	f.Outside.Backends = f.Inside.Backends
	l.serve("a", f)
	l.spread(f, 500)
}

func kernelChanges(l *lab) {
	var eps []netip.AddrPort
	for i := range 4 {
		eps = append(eps, on(PodA, false, uint16(8080+i)))
		l.Serve(PodA, eps[i], routing.TCP)
	}
	at := netip.AddrPortFrom(clusterIP(false, 10), 80)
	l.serve("a", clusterFrontend("a", at, routing.TCP, eps...))
	stop, failed, asked := make(chan struct{}), make(chan error, 8), make(chan struct{}, 1)
	var clients sync.WaitGroup
	for _, h := range []Host{PodB, Client} {
		clients.Go(func() {
			failed <- l.Do(h, func() error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					if _, err := ask1(at, routing.TCP, answerPatience); err != nil {
						return err
					}
					select {
					case asked <- struct{}{}:
					default:
					}
				}
			})
		})
	}
	for i := range 200 {
		in := slices.Delete(slices.Clone(eps), i%4, i%4+1)
		if i%2 == 0 {
			in = eps[i%4 : i%4+1]
		}
		l.serve("a", clusterFrontend("a", at, routing.TCP, in...))
		<-asked
	}
	close(stop)
	clients.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			l.Errorf("a connection failed: %v", err)
		}
	}
}

// kernelEstablished: the endpoint leaves, then the Service is deleted. The connection continues.
func kernelEstablished(l *lab) {
	a, b := on(PodA, false, 8080), on(FarPod, false, 8080)
	l.Serve(PodA, a, routing.TCP)
	l.Serve(FarPod, b, routing.TCP)
	at := netip.AddrPortFrom(clusterIP(false, 10), 80)
	for _, h := range []Host{Node, PodB, Client} {
		l.serve("a", clusterFrontend("a", at, routing.TCP, a))
		var fd int
		l.In(h, func() (err error) {
			fd, err = Connect(at, routing.TCP, answerPatience)
			return err
		})
		buf := make([]byte, 100)
		if _, err := Read(fd, buf); err != nil {
			l.Fatal(err)
		}
		for _, change := range []func(){
			func() { l.serve("a", clusterFrontend("a", at, routing.TCP, b)) },
			func() { l.serve("a", clusterFrontend("a", at, routing.TCP)) },
			func() { l.serve("a") },
		} {
			change()
			if _, err := unix.Write(fd, []byte("ping")); err != nil {
				l.Fatal(err)
			}
			if n, err := Read(fd, buf); err != nil || string(buf[:n]) != "ping" {
				l.Fatalf("%s got %q, %v", h, buf[:n], err)
			}
		}
		l.must(unix.Close(fd))
	}
}

// kernelUDPMoves: a UDP flow has no end, so a client moves to another endpoint with its next datagram. A client that
// sent datagrams before the Service had an endpoint is answered as soon as it has one.
func kernelUDPMoves(l *lab) {
	a, b := on(PodA, false, 8080), on(FarPod, false, 8080)
	l.Serve(PodA, a, routing.UDP)
	l.Serve(FarPod, b, routing.UDP)
	at := netip.AddrPortFrom(clusterIP(false, 10), 53)
	for _, h := range []Host{PodB, Client} {
		var c *net.UDPConn
		l.serve("a")
		l.In(h, func() (err error) {
			c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
			return err
		})
		if got, err := exchangeOn(c, dropPatience); err == nil {
			l.Errorf("%s was answered by %s, where there is no Service", h, got.By)
		}
		for _, want := range []netip.AddrPort{a, b, a} {
			l.serve("a", clusterFrontend("a", at, routing.UDP, want))
			got, err := exchangeOn(c, answerPatience)
			if err != nil || got.By != want {
				l.Errorf("%s was answered by %s (%v), want %s", h, got.By, err, want)
			}
		}
		l.must(c.Close())
	}
}

// randomKernelTables creates, changes and deletes Services, and connects to all places from all origins after every
// step. The seed is fixed, so a failure repeats.
func randomKernelTables(l *lab) {
	const steps = 40
	r := rand.New(rand.NewPCG(3, 5))
	var eps [2][]netip.AddrPort // by family
	for f, v6 := range []bool{false, true} {
		for _, h := range []Host{PodA, PodB, FarPod} {
			for i := range uint16(3) {
				at := on(h, v6, 8080+i)
				l.Serve(h, at, routing.TCP)
				eps[f] = append(eps[f], at)
			}
		}
	}
	some := func(from []netip.AddrPort) (out []netip.AddrPort) {
		for _, i := range r.Perm(len(from))[:r.IntN(len(from))] {
			out = append(out, from[i])
		}
		return out
	}
	for range steps {
		v6 := r.IntN(2)
		name := string(rune('a' + r.IntN(3)))
		var fs []routing.Frontend
		if r.IntN(6) > 0 {
			fs = service(name, v6 == 1, routing.TCP, r.IntN(2) == 0, some(eps[v6])...)
		}
		affinity := []time.Duration{0, time.Hour, 2 * time.Hour}[r.IntN(3)]
		policy := routing.Policies()[r.IntN(4)]
		for i := range fs {
			fs[i].Port += uint16(name[0] - 'a')
			fs[i].Affinity = affinity
			fs[i].Policy = policy
		}
		l.serve(name, fs...)
		if r.IntN(5) == 0 {
			l.sync(nil)
		}
		for _, f := range l.table.All() {
			if wantsDrop(f) && r.IntN(4) > 0 {
				continue // each drop takes the whole patience
			}
			l.judge(origins[r.IntN(len(origins))], f.Dest().Addr, routing.TCP)
		}
	}
}

func wantsDrop(f routing.Frontend) bool {
	return len(f.Outside.Backends) == 0 && f.Outside.Empty == routing.Drop
}
