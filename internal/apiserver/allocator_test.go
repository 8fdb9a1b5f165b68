package apiserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestIPRange(t *testing.T) {
	tests := []struct {
		cidr        string
		size, band  uint64
		first, last string
	}{
		{"127.96.0.0/16", 65534, 256, "127.96.0.1", "127.96.255.254"},
		{"10.0.0.0/24", 254, 16, "10.0.0.1", "10.0.0.254"},
		{"10.0.0.0/28", 14, 0, "10.0.0.1", "10.0.0.14"},
		{"10.0.0.7/28", 14, 0, "10.0.0.1", "10.0.0.14"}, // host bits are dropped
		{"fd00::/120", 255, 16, "fd00::1", "fd00::ff"},
		{"fd00::/64", 1<<32 - 1, 256, "fd00::1", "fd00::ffff:ffff"},
	}
	for _, tt := range tests {
		r := newIPRange(netip.MustParsePrefix(tt.cidr))
		if r.size != tt.size || r.band != tt.band {
			t.Errorf("%s: size %d band %d, want %d and %d", tt.cidr, r.size, r.band, tt.size, tt.band)
		}
		if got := r.addr(0).String(); got != tt.first {
			t.Errorf("%s: first %s, want %s", tt.cidr, got, tt.first)
		}
		if got := r.addr(r.size - 1).String(); got != tt.last {
			t.Errorf("%s: last %s, want %s", tt.cidr, got, tt.last)
		}
		for _, n := range []uint64{0, 1, r.size / 2, r.size - 1} {
			if back, err := r.number(r.addr(n)); err != nil || back != n {
				t.Errorf("%s: number(addr(%d)) = %d, %v", tt.cidr, n, back, err)
			}
		}
	}
}

func TestIPRangeRefusesWhatItDoesNotHold(t *testing.T) {
	r := newIPRange(netip.MustParsePrefix("10.0.0.0/24"))
	for _, s := range []string{"10.0.0.0", "10.0.0.255", "10.0.1.1", "9.255.255.255", "fd00::1"} {
		n, err := r.number(netip.MustParseAddr(s))
		if err == nil {
			err = r.take(n, "ns/a")
		}
		if !errors.Is(err, errOutOfRange) {
			t.Errorf("%s: error %v, want %v", s, err, errOutOfRange)
		}
	}
}

func TestAllocatorPrefersTheUpperBand(t *testing.T) {
	a := newAllocator(20, 16)
	for i := range 20 {
		n, err := a.next(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if (i < 4) != (n >= 16) {
			t.Errorf("the %d-th number is %d; the first four are to come from 16 up, the rest from below", i, n)
		}
	}
	if _, err := a.next("late"); !errors.Is(err, errFull) {
		t.Errorf("error %v from a full range, want %v", err, errFull)
	}
}

// TestAllocatorAgainstAnOracle holds random sequences of calls to a map.
func TestAllocatorAgainstAnOracle(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	a := newAllocator(64, 8)
	oracle := map[uint64]string{}
	for range 5000 {
		n, owner := rng.Uint64N(70), fmt.Sprint(rng.IntN(8))
		switch rng.IntN(3) {
		case 0:
			by, used := oracle[n]
			ok := n < 64 && !used
			if err := a.take(n, owner); (err == nil) != ok {
				t.Fatalf("take(%d, %s) = %v; held by %q", n, owner, err, by)
			}
			if ok {
				oracle[n] = owner
			}
		case 1:
			got, err := a.next(owner)
			if (err == nil) != (len(oracle) < 64) {
				t.Fatalf("next = %v with %d of 64 used", err, len(oracle))
			}
			if err == nil {
				if by, used := oracle[got]; used {
					t.Fatalf("next = %d, which %s holds", got, by)
				}
				oracle[got] = owner
			}
		case 2:
			a.release(n, owner)
			if oracle[n] == owner {
				delete(oracle, n)
			}
		}
	}
	if len(a.used) != len(oracle) {
		t.Errorf("%d are used, the oracle says %d", len(a.used), len(oracle))
	}
}
