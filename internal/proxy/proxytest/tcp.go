package proxytest

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"viaduct/internal/routing"
)

func spreads(w *world) {
	const n = 600
	_, at := w.endpoints(3)
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(at...)))
	got := map[netip.AddrPort]int{}
	for range n {
		got[w.judge(place, routing.TCP)]++
	}
	for _, a := range at {
		// Six standard deviations of a fair draw: it fails by chance once in 500 million runs.
		if off := math.Abs(float64(got[a]) - n/3); off > 6*math.Sqrt(n*(1.0/3)*(2.0/3)) {
			w.Errorf("%s got %d of %d connections, want about a third", a, got[a], n)
		}
	}
}

func refuses(w *world) {
	e := w.endpoint()
	drop := routing.Pool{Empty: routing.Drop, Why: routing.NoneLocal}
	for _, empty := range []routing.Pool{pool(), drop} {
		place := w.place()
		for range 3 {
			w.serve("a", frontend("a", place, routing.TCP, empty))
			w.judge(place, routing.TCP)
			w.serve("a", frontend("a", place, routing.TCP, pool(e.at)))
			w.judge(place, routing.TCP)
		}
		w.serve("a")
		w.judge(place, routing.TCP) // no Service has the place any more
	}
}

// keptApart: two ports of a Service, and two Services of which one changes.
func keptApart(w *world) {
	_, at := w.endpoints(4)
	one, two := w.place(), w.place()
	second := netip.AddrPortFrom(one.Addr(), one.Port()+1)
	w.serve("a", frontend("a", one, routing.TCP, pool(at[0])), frontend("a", second, routing.TCP, pool(at[1])))
	w.serve("b", frontend("b", two, routing.TCP, pool(at[2])))
	for range 10 {
		w.judge(one, routing.TCP)
		w.judge(second, routing.TCP)
		w.judge(two, routing.TCP)
	}
	w.serve("b", frontend("b", two, routing.TCP, pool(at[3])))
	w.serve("a", frontend("a", second, routing.TCP, pool(at[0])))
	w.judge(one, routing.TCP)
	w.judge(second, routing.TCP)
	w.judge(two, routing.TCP)
	w.sync(nil) // a full sync of the same table: nothing may get lost
	w.judge(one, routing.TCP)
	w.judge(second, routing.TCP)
	w.judge(two, routing.TCP)
}

// changesUnderLoad: clients connect all the time while endpoints come and go. At any moment there is at least one
// endpoint.
func changesUnderLoad(w *world) {
	eps, at := w.endpoints(4)
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(at...)))
	served, stop := load(w, place)
	for i := range 200 {
		in := slices.Delete(slices.Clone(at), i%4, i%4+1)
		if i%2 == 0 {
			in = at[i%4 : i%4+1]
		}
		w.serve("a", frontend("a", place, routing.TCP, pool(in...)))
		<-served
	}
	w.serve("a", frontend("a", place, routing.TCP, pool(at[0])))
	stop()
	left := func() int64 { return eps[1].accepted.Load() + eps[2].accepted.Load() + eps[3].accepted.Load() }
	before := left()
	for range 50 {
		w.judge(place, routing.TCP)
	}
	if after := left(); after != before {
		w.Errorf("endpoints that had left got %d new connections", after-before)
	}
}

// load connects to place from four clients until stop is called, and sends on served after each connection. Any failure
// fails the test.
func load(w *world, place netip.AddrPort) (served <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := ask(netip.Addr{}, place); err != nil {
					w.Error(err)
				}
				select {
				case done <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	return done, func() { cancel(); wg.Wait() }
}

// deadSkipped: half of the pool's endpoints have no listener. No client may get an error or a delay.
func deadSkipped(w *world) {
	_, at := w.endpoints(3)
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(append(at, w.dead(), w.dead(), w.dead())...)))
	var slow []time.Duration
	for range 200 {
		started := time.Now()
		if who := w.judge(place, routing.TCP); !slices.Contains(at, who) {
			w.Fatalf("answered by %s, where no program listens", who)
		}
		if took := time.Since(started); took > 100*time.Millisecond {
			slow = append(slow, took)
		}
	}
	if len(slow) > 4 {
		w.Errorf("%d of 200 connections were slow: %v", len(slow), slow)
	}
}

func allDead(w *world) {
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(w.dead(), w.dead())))
	for range 5 {
		started := time.Now()
		_, err := ask(netip.Addr{}, place)
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) {
			w.Errorf("got %v, want a reset or a refusal", err)
		}
		if took := time.Since(started); took > time.Second {
			w.Errorf("it took %s", took)
		}
	}
}

func affinity(w *world) {
	_, at := w.endpoints(4)
	place, other := w.place(), w.place()
	sticky := func(f *routing.Frontend) { f.Affinity = time.Hour }
	serve := func(at ...netip.AddrPort) {
		w.serve("a", frontend("a", place, routing.TCP, pool(at...), sticky))
	}
	serve(at...)
	home := map[netip.Addr]netip.AddrPort{}
	for range 8 {
		home[w.addr()] = netip.AddrPort{}
	}
	for client := range home {
		home[client] = w.stays(client, place)
	}
	left := at[1:]
	serve(left...)
	for client, was := range home {
		now := w.stays(client, place)
		if was != at[0] && now != was {
			w.Errorf("%s moved from %s to %s, and need not", client, was, now)
		}
		if !slices.Contains(left, now) {
			w.Errorf("%s is served by %s, which left", client, now)
		}
	}
	w.serve("b", frontend("b", other, routing.TCP, pool(at...)))
	w.judge(other, routing.TCP)
}

// stays connects ten times from client, and fails unless the same endpoint answers each time.
func (w *world) stays(client netip.Addr, place netip.AddrPort) netip.AddrPort {
	w.Helper()
	home, err := ask(client, place)
	for range 9 {
		who, again := ask(client, place)
		if err = errors.Join(err, again); err != nil || who != home {
			w.Fatalf("client %s went to %s and then to %s (%v)", client, home, who, err)
		}
	}
	return home
}

func sourceRanges(w *world) {
	_, at := w.endpoints(2)
	place, friend, stranger := w.place(), w.addr(), w.addr()
	w.serve("a", frontend("a", place, routing.TCP, pool(at...), func(f *routing.Frontend) {
		f.Allow = []netip.Prefix{netip.PrefixFrom(friend, 32)}
	}))
	if _, err := ask(friend, place); err != nil {
		w.Errorf("a client that may connect: %v", err)
	}
	if who, err := ask(stranger, place); err == nil {
		w.Errorf("a client that may not connect was answered by %s", who)
	}
}
