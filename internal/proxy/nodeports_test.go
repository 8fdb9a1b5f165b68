package proxy

import (
	"net/netip"
	"slices"
	"testing"
)

func TestNodePortAddrs(t *testing.T) {
	parse := func(texts ...string) (list []netip.Addr) {
		for _, s := range texts {
			list = append(list, netip.MustParseAddr(s))
		}
		return list
	}
	loopback := parse("127.0.0.1")
	for _, c := range []struct {
		name     string
		ports    NodePorts
		internal []netip.Addr
		want     []netip.Addr
	}{
		{"no Node yet", NodePorts{}, nil, loopback},
		{"a Node on loopback", NodePorts{}, loopback, loopback},
		{"the first of each family", NodePorts{}, parse("192.0.2.1", "192.0.2.2", "2001:db8::1"),
			parse("192.0.2.1", "2001:db8::1")},
		{"ranges that no address of this host is in",
			NodePorts{Within: []netip.Prefix{netip.MustParsePrefix("2001:db8:ffff::/48")}}, parse("192.0.2.1"), nil},
		{"never loopback by a range", NodePorts{Within: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil, nil},
	} {
		if got := c.ports.addrs(c.internal); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
