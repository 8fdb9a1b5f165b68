package allocation

import (
	"errors"
	"math"
	"net/netip"
	"testing"
)

func TestRange(t *testing.T) {
	tests := []struct {
		cidr          string
		count, static uint64
		first, last   string
	}{
		{"127.96.0.0/16", 65534, 256, "127.96.0.1", "127.96.255.254"},
		{"10.0.0.0/20", 4094, 256, "10.0.0.1", "10.0.15.254"},
		{"10.0.0.0/24", 254, 16, "10.0.0.1", "10.0.0.254"},
		{"10.0.0.0/23", 510, 32, "10.0.0.1", "10.0.1.254"},
		{"10.0.0.0/27", 30, 16, "10.0.0.1", "10.0.0.30"},
		{"10.0.0.0/28", 14, 0, "10.0.0.1", "10.0.0.14"},
		{"10.0.0.7/28", 14, 0, "10.0.0.1", "10.0.0.14"}, // host bits are dropped
		{"10.0.0.0/30", 2, 0, "10.0.0.1", "10.0.0.2"},
		{"10.0.0.0/31", 0, 0, "10.0.0.0", "10.0.0.0"},
		{"10.0.0.0/32", 0, 0, "10.0.0.0", "10.0.0.0"},
		{"0.0.0.0/0", 1<<32 - 2, 256, "0.0.0.1", "255.255.255.254"},
		{"fd00::/120", 255, 16, "fd00::1", "fd00::ff"},
		{"fd00::/112", 65535, 256, "fd00::1", "fd00::ffff"},
		{"fd00::/65", 1<<63 - 1, 256, "fd00::1", "fd00::7fff:ffff:ffff:ffff"},
		{"fd00::/64", math.MaxUint64, 256, "fd00::1", "fd00::ffff:ffff:ffff:ffff"},
		{"fd00::/127", 1, 0, "fd00::1", "fd00::1"},
		{"fd00::/128", 0, 0, "fd00::", "fd00::"},
	}
	for _, tt := range tests {
		r, err := NewRange(netip.MustParsePrefix(tt.cidr))
		if err != nil {
			t.Fatal(err)
		}
		if r.count != tt.count || r.static != tt.static {
			t.Errorf("%s: %d addresses, %d static, want %d and %d", tt.cidr, r.count, r.static, tt.count, tt.static)
		}
		if got := r.First().String(); got != tt.first {
			t.Errorf("%s: first %s, want %s", tt.cidr, got, tt.first)
		}
		if got := r.at(max(r.count, 1) - 1).String(); got != tt.last {
			t.Errorf("%s: last %s, want %s", tt.cidr, got, tt.last)
		}
		if got := r.contains(r.First()) && r.contains(netip.MustParseAddr(tt.last)); got != (tt.count > 0) {
			t.Errorf("%s: contains its ends: %t", tt.cidr, got)
		}
	}
}

func TestRangeContains(t *testing.T) {
	for cidr, outside := range map[string][]string{
		"10.0.0.0/24": {"10.0.0.0", "10.0.0.255", "10.0.1.1", "9.255.255.255", "fd00::1", "::ffff:10.0.0.1"},
		"fd00::/120":  {"fd00::", "fd00::100", "10.0.0.1"},
	} {
		r, err := NewRange(netip.MustParsePrefix(cidr))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range outside {
			if r.contains(netip.MustParseAddr(s)) {
				t.Errorf("%s contains %s", cidr, s)
			}
		}
	}
	if _, err := NewRange(netip.MustParsePrefix("fd00::/63")); !errors.Is(err, errTooLarge) {
		t.Errorf("a /63: %v", err)
	}
}

func TestPortBands(t *testing.T) {
	for _, tt := range []struct {
		ports         PortRange
		count, static uint64
	}{
		{DefaultNodePorts(), 2768, 86}, // 30000-30085 are static
		{PortRange{30000, 30015}, 16, 0},
		{PortRange{30000, 30016}, 17, 16},
		{PortRange{1, 65535}, 65535, 128},
		{PortRange{40000, 40000}, 1, 0},
	} {
		if b := tt.ports.bands(); b.count != tt.count || b.static != tt.static {
			t.Errorf("%s: %d ports, %d static, want %d and %d", tt.ports, b.count, b.static, tt.count, tt.static)
		}
	}
}

func TestBandsAreGoneThroughOnce(t *testing.T) {
	b := bands{count: 20, static: 16}
	for start := range uint64(20) {
		from := func(n uint64) uint64 { return start % n }
		var upper, lower []uint64
		for n := range b.upper(from) {
			upper = append(upper, n)
		}
		for n := range b.lower(from) {
			lower = append(lower, n)
		}
		seen := map[uint64]bool{}
		for i, n := range append(upper, lower...) {
			if seen[n] || (n >= 16) != (i < 4) {
				t.Fatalf("from %d: upper %v, lower %v", start, upper, lower)
			}
			seen[n] = true
		}
		if len(seen) != 20 || upper[0] != 16+start%4 || lower[0] != start%16 {
			t.Errorf("from %d: upper %v, lower %v", start, upper, lower)
		}
	}
}

func TestRingDoesNotOverflow(t *testing.T) {
	last := func(n uint64) uint64 { return n - 1 }
	var got []uint64
	for n := range ring(1, math.MaxUint64, last) {
		if got = append(got, n); len(got) == 3 {
			break
		}
	}
	if len(got) != 3 || got[0] != math.MaxUint64-1 || got[1] != 1 || got[2] != 2 {
		t.Errorf("%v", got)
	}
}

func TestDynamic(t *testing.T) {
	top := func(n uint64) uint64 { return n - 1 }
	if n, ok := (bands{count: 20, static: 16}).dynamic(top); n != 19 || !ok {
		t.Errorf("%d, %t", n, ok)
	}
	if n, ok := (bands{count: 16, static: 16}).dynamic(top); ok {
		t.Errorf("%d of a band that is empty", n)
	}
}
