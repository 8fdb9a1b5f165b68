package proxytest

import (
	"net/netip"
	"slices"
	"time"

	"viaduct/internal/routing"
)

// stays connects several times from h to each place in turn. It fails unless the same endpoint answers each time.
func (l *lab) stays(h Host, places ...netip.AddrPort) netip.AddrPort {
	l.Helper()
	home := l.judge(h, places[0], routing.TCP).By
	for range 6 {
		for _, at := range places {
			if got := l.judge(h, at, routing.TCP).By; got != home {
				l.Fatalf("%s went to %s and then, by %s, to %s", h, home, at, got)
			}
		}
	}
	return home
}

// remembering returns the Frontends of a Service of all kinds with session affinity, and their places.
func remembering(v6, local bool, eps ...netip.AddrPort) (fs []routing.Frontend, places []netip.AddrPort) {
	fs = service("a", v6, routing.TCP, local, eps...)
	for i := range fs {
		fs[i].Affinity = time.Hour
		places = append(places, fs[i].Dest().Addr)
	}
	return fs, places
}

// kernelAffinity: a client keeps its endpoint while the endpoint serves, at all addresses of the Service.
func kernelAffinity(l *lab) {
	clients := []Host{Node, PodA, PodB, FarPod, Client, Stranger}
	for _, v6 := range []bool{false, true} {
		var eps []netip.AddrPort
		for i := range uint16(4) {
			eps = append(eps, on(PodA, v6, 8080+i))
			l.Serve(PodA, eps[i], routing.TCP)
		}
		fs, places := remembering(v6, false, eps...)
		l.serve("a", fs...)
		home := map[Host]netip.AddrPort{}
		for _, h := range clients[1:] { // the node has several addresses
			home[h] = l.stays(h, places...)
		}
		l.sync(nil)
		left := slices.DeleteFunc(slices.Clone(eps), func(a netip.AddrPort) bool { return a == home[Client] })
		fs, places = remembering(v6, false, left...)
		l.serve("a", fs...)
		for _, h := range clients[1:] {
			now := l.stays(h, places...)
			if home[h] != home[Client] && now != home[h] {
				l.Errorf("%s moved from %s to %s, and need not", h, home[h], now)
			}
		}
	}
}

// affinityEnds: affinity ends after its timeout.
func affinityEnds(l *lab) {
	eps := []netip.AddrPort{on(PodA, false, 8080), on(PodA, false, 8081)}
	for _, e := range eps {
		l.Serve(PodA, e, routing.TCP)
	}
	f := clusterFrontend("a", netip.AddrPortFrom(clusterIP(false, 10), 80), routing.TCP, eps...)
	f.Affinity = time.Second
	l.serve("a", f)
	home := l.judge(PodB, f.Dest().Addr, routing.TCP).By
	for range 20 { // without affinity, the endpoint is the same with probability 1/2 each time
		<-time.After(1200 * time.Millisecond)
		if l.judge(PodB, f.Dest().Addr, routing.TCP).By != home {
			return
		}
	}
	l.Errorf("a client is still at %s, long after it was to be forgotten", home)
}

// affinityOutside: with externalTrafficPolicy Local, a connection from outside does not follow the client's affinity to
// an endpoint on another node.
func affinityOutside(l *lab) {
	near, far := on(PodA, false, 8080), on(FarPod, false, 8080)
	l.Serve(PodA, near, routing.TCP)
	l.Serve(FarPod, far, routing.TCP)
	fs, places := remembering(false, true, near, far)
	l.serve("a", fs...)
	for range 10 {
		for _, h := range []Host{Client, Stranger, PodB} {
			for _, at := range places {
				l.judge(h, at, routing.TCP)
			}
		}
	}
}
