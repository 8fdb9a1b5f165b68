package node

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestPickAddress(t *testing.T) {
	cidr := netip.MustParsePrefix("127.128.5.8/29")
	given := map[netip.Addr]bool{}
	used := func(a netip.Addr) bool { return given[a] }
	for i := range 6 {
		addr, ok := pickAddress(cidr, types.UID("same"), used)
		if !ok || !cidr.Contains(addr) || given[addr] || addr.String() == "127.128.5.8" || addr.String() == "127.128.5.15" {
			t.Fatalf("address %d of %s: %s, %v", i, cidr, addr, ok)
		}
		given[addr] = true
	}
	if addr, ok := pickAddress(cidr, "same", used); ok {
		t.Errorf("a full range gave %s", addr)
	}
	none := func(netip.Addr) bool { return false }
	for _, text := range []string{"127.128.0.0/16", "127.0.0.0/8", "127.1.2.3/32", "127.1.2.2/31", "fd00::/64",
		"10.0.0.77/24"} {
		p := netip.MustParsePrefix(text)
		one, ok := pickAddress(p, "a", none)
		again, _ := pickAddress(p, "a", none)
		if !ok || one != again || !p.Contains(one) {
			t.Errorf("%s: %s, then %s, %v", text, one, again, ok)
		}
	}
}

func TestAddresses(t *testing.T) {
	a := newAddresses(netip.MustParsePrefix("127.128.5.0/30"))
	had := netip.MustParseAddr("127.128.5.2")
	if got, err := a.claim("old", had); err != nil || got != had {
		t.Errorf("the one it had: %s, %v", got, err)
	}
	other, err := a.claim("new", had)
	if err != nil || other == had {
		t.Errorf("one that another has: %s, %v", other, err)
	}
	if got, err := a.claim("third", netip.MustParseAddr("10.0.0.1")); err == nil {
		t.Errorf("from a full range: %s", got)
	}
	a.release("old")
	if got, err := a.claim("third", netip.Addr{}); err != nil || got != had {
		t.Errorf("after a release: %s, %v", got, err)
	}
}
