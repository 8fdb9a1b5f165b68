package proxytest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"viaduct/internal/routing"
)

// portTaken: another process has an address and port of a Service. The error names them, the other ports are served,
// and these are served once they are free.
func portTaken(w *world) {
	e, u := w.endpoint(), w.udpEndpoint()
	taken, free := w.place(), w.place()
	thief, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(taken))
	w.must(err)
	thiefUDP, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(taken))
	w.must(err)
	fs := []routing.Frontend{
		frontend("a", taken, routing.TCP, pool(e.at)), frontend("a", taken, routing.UDP, pool(u.at)),
		frontend("a", free, routing.TCP, pool(e.at)),
	}
	for range 2 {
		failed, rest := routing.Split(w.try("a", fs...))
		if len(failed) != 2 || rest != nil {
			w.Fatalf("failed: %v; %v", failed, rest)
		}
		for i, f := range failed {
			if f.Service != fs[i].Service || f.Key != fs[i].Key || !errors.Is(f, syscall.EADDRINUSE) {
				w.Errorf("unexpected: %v", f)
			}
		}
		w.judge(free, routing.TCP)
		// the Service is removed from the table, so that the next try differs
		w.table, _ = w.table.With(routing.Entry{Service: routing.Name{Namespace: "test", Name: "a"}})
	}
	w.must(thief.Close())
	w.must(thiefUDP.Close())
	w.serve("a", fs...)
	w.judge(taken, routing.TCP)
	w.judge(taken, routing.UDP)
}

func closeFrees(w *world) {
	e, u := w.endpoint(), w.udpEndpoint()
	open, empty := w.place(), w.place()
	w.serve("a", frontend("a", open, routing.TCP, pool(e.at)), frontend("a", open, routing.UDP, pool(u.at)),
		frontend("a", empty, routing.TCP, pool()))
	c, r, _ := w.open(open)
	w.judge(open, routing.UDP)
	w.must(w.backend.Close())
	if _, err := io.ReadAll(r); !errors.Is(err, syscall.ECONNRESET) {
		w.Errorf("an open connection got %v", err)
	}
	w.must(c.Close())
	for _, at := range []netip.AddrPort{open, empty} {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		w.must(err)
		w.must(l.Close())
	}
	p, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(open))
	w.must(err)
	w.must(p.Close())
	if err := w.backend.Sync(w.Context(), w.table, nil); err == nil {
		w.Error("Sync after Close says nothing")
	}
}

// randomTables creates, changes and deletes Services, and connects to all places after every step. The seed is fixed,
// so a failure repeats.
func randomTables(w *world) {
	const steps = 60
	r := rand.New(rand.NewPCG(7, 11))
	_, tcp := w.endpoints(5)
	var udp []netip.AddrPort
	for range 5 {
		udp = append(udp, w.udpEndpoint().at)
	}
	var places []netip.AddrPort
	for range 8 {
		places = append(places, w.place())
	}
	some := func(from []netip.AddrPort) (out []netip.AddrPort) {
		for _, i := range r.Perm(len(from))[:r.IntN(len(from))] {
			out = append(out, from[i])
		}
		return out
	}
	for range steps {
		name := string(rune('a' + r.IntN(4)))
		var fs []routing.Frontend
		for _, at := range some(places) {
			if r.IntN(2) == 0 {
				fs = append(fs, frontend(name, at, routing.TCP, pool(some(tcp)...)))
			} else {
				fs = append(fs, frontend(name, at, routing.UDP, pool(some(udp)...)))
			}
		}
		w.serve(name, fs...)
		if r.IntN(5) == 0 {
			w.sync(nil)
		}
		for _, at := range places {
			w.judge(at, routing.TCP)
			w.judge(at, routing.UDP)
		}
	}
}
