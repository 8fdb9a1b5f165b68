package userspace

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"viaduct/internal/routing"
)

func poolOf(n int) routing.Pool {
	var p routing.Pool
	for i := range n {
		p.Backends = append(p.Backends, routing.Backend{Addr: addrPort(i), Weight: 1})
	}
	slices.SortFunc(p.Backends, func(a, b routing.Backend) int { return a.Addr.Compare(b.Addr) })
	return p
}

func newQuiet() *ejected { return newEjected(slog.New(slog.DiscardHandler)) }

// An endpoint that fails is left alone for longer each time, then tried by one, and forgotten when it takes a
// connection.
func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, pool, bad := newQuiet(), poolOf(4), addrPort(1)
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second,
			time.Minute, time.Minute} {
			e.failed(bad, "refused")
			e.failed(bad, "refused") // another client that was under way
			time.Sleep(pause - time.Millisecond)
			if got := e.of(pool); !slices.Equal(got, []netip.AddrPort{bad}) {
				t.Fatalf("before %v are over, %v are set aside", pause, got)
			}
			time.Sleep(time.Millisecond)
			if got := e.of(pool); len(got) != 0 {
				t.Fatalf("after %v nobody tries it: %v", pause, got)
			}
			if got := e.of(pool); len(got) != 1 {
				t.Fatalf("after %v everybody tries it", pause)
			}
		}
		e.took(bad)
		if e.any() || len(e.of(pool)) != 0 || len(e.list()) != 0 {
			t.Errorf("it took a connection, and %v are set aside", e.list())
		}
	})
}

// Whatever fails, half of a pool goes on: the fault may be this host's.
func TestEjectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]int{1: 0, 2: 1, 5: 2, 10: 5} {
			e, pool := newQuiet(), poolOf(size)
			for i := range size {
				e.failed(addrPort(i), "refused")
				time.Sleep(time.Millisecond)
			}
			if got := e.of(pool); len(got) != want || want > 0 && !slices.Contains(got, addrPort(0)) {
				t.Errorf("of %d, %v are set aside", size, got)
			}
		}
		e := newQuiet()
		for i := range asideLimit + 1 {
			e.failed(addrPort(i), "refused")
		}
		if len(e.aside) != asideLimit {
			t.Errorf("%d endpoints are remembered", len(e.aside))
		}
		if got := e.of(poolOf(10)); len(got) != 5 { // a small pool of the many
			t.Errorf("of a pool of ten, all of which failed, %v are set aside", got)
		}
		e.keep(func(at netip.AddrPort) bool { return at == addrPort(7) })
		if got := e.list(); len(got) != 1 || got[0].Endpoint != addrPort(7) || got[0].Cause != "refused" {
			t.Errorf("of those that are served, %v are set aside", got)
		}
	})
}
