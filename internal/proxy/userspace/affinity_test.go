package userspace

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"viaduct/internal/routing"
)

func addrPort(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
}

func TestAffinityLastsAndIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAffinity(10)
		v := affinityKey{routing.Name{Name: "a"}, addrPort(1).Addr()}
		if _, ok := a.last(v); ok {
			t.Error("a client that never came is known")
		}
		a.remember(v, addrPort(7), time.Minute)
		time.Sleep(50 * time.Second)
		a.remember(v, addrPort(7), time.Minute)
		time.Sleep(59 * time.Second)
		if to, ok := a.last(v); !ok || to != addrPort(7) {
			t.Errorf("after 59 s: %v, %v", to, ok)
		}
		if _, ok := a.last(affinityKey{routing.Name{Name: "b"}, v.client}); ok {
			t.Error("another Service knows the client")
		}
		time.Sleep(time.Second)
		if _, ok := a.last(v); ok {
			t.Error("after a minute it is still known")
		}
	})
}

func TestAffinityIsBoundedAndForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1024
		a := newAffinity(limit)
		for i := range 10 * limit {
			a.remember(affinityKey{client: addrPort(i).Addr()}, addrPort(0), time.Hour)
			time.Sleep(time.Second)
		}
		if len(a.entries) != limit {
			t.Errorf("%d clients are remembered, want %d", len(a.entries), limit)
		}
		recent := 0
		for i := 9 * limit; i < 10*limit; i++ {
			if _, ok := a.last(affinityKey{client: addrPort(i).Addr()}); ok {
				recent++
			}
		}
		// Chance alone would keep 63 of 100 (1-1/e); the sample must do clearly better.
		if recent < limit*72/100 {
			t.Errorf("only %d of the latest %d are remembered", recent, limit)
		}
	})
}
