package proxytest

import (
	"net/netip"
	"strings"

	"viaduct/internal/routing"
)

func udpSpreads(w *world) {
	a, b := w.udpEndpoint(), w.udpEndpoint()
	place := w.place()
	w.serve("a", frontend("a", place, routing.UDP, pool(a.at, b.at)))
	got := map[netip.AddrPort]int{}
	for range 100 {
		got[w.judge(place, routing.UDP)]++
	}
	if got[a.at] < 15 || got[b.at] < 15 {
		w.Errorf("a hundred clients went to %v", got)
	}
	c, err := dialUDP(place)
	w.must(err)
	defer c.Close()
	home, err := exchange(c, "")
	w.must(err)
	for _, text := range []string{"x", strings.Repeat("large", 1<<13), ""} {
		if who, err := exchange(c, text); err != nil || who != home {
			w.Errorf("one client's datagrams went to %s and %s (%v)", home, who, err)
		}
	}
}

func udpRefuses(w *world) {
	e := w.udpEndpoint()
	place := w.place()
	for range 3 {
		w.serve("a", frontend("a", place, routing.UDP, pool()))
		w.judge(place, routing.UDP)
		w.serve("a", frontend("a", place, routing.UDP, pool(e.at)))
		w.judge(place, routing.UDP)
	}
	w.serve("a")
	w.judge(place, routing.UDP)
}

// udpMoves: a UDP flow has no end, so a client moves to another endpoint with its next datagram.
func udpMoves(w *world) {
	a, b := w.udpEndpoint(), w.udpEndpoint()
	place := w.place()
	w.serve("a", frontend("a", place, routing.UDP, pool(a.at)))
	c, err := dialUDP(place)
	w.must(err)
	defer c.Close()
	for _, at := range []netip.AddrPort{a.at, b.at, a.at} {
		w.serve("a", frontend("a", place, routing.UDP, pool(at)))
		if who, err := exchange(c, "hello"); err != nil || who != at {
			w.Fatalf("answered by %s (%v), want %s", who, err, at)
		}
	}
}

func udpDead(w *world) {
	a, dead := w.udpEndpoint(), w.udpEndpoint()
	w.must(dead.conn.Close())
	place := w.place()
	w.serve("a", frontend("a", place, routing.UDP, pool(a.at, dead.at)))
	for range 20 {
		if who := w.judge(place, routing.UDP); who != a.at {
			w.Fatalf("answered by %s, where no program listens", who)
		}
	}
}
