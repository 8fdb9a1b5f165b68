package userspace

import (
	"errors"
	"net/netip"
	"testing"

	"viaduct/internal/routing"
)

func TestCompile(t *testing.T) {
	one := routing.Pool{Backends: []routing.Backend{{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Weight: 1}},
		Empty: routing.Drop, Why: routing.LocalOnly}
	none := routing.Pool{Empty: routing.Drop, Why: routing.NoneLocal}
	f := func(addr string, p routing.Proto, in, out routing.Pool) routing.Frontend {
		return routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: netip.MustParseAddr(addr), Port: 80,
			Proto: p}, Inside: in, Outside: out, Policy: routing.Random}
	}
	for _, c := range []struct {
		name          string
		f             routing.Frontend
		served, open  bool
		inside, there int // how many may be picked from inside and from outside
	}{
		{"both", f("127.96.0.1", routing.TCP, one, one), true, true, 1, 1},
		{"only inside", f("127.96.0.1", routing.TCP, one, none), true, true, 1, 0},
		{"only outside", f("127.96.0.1", routing.UDP, none, one), true, true, 0, 1},
		{"nobody", f("::1", routing.UDP, none, none), true, false, 0, 0},
		{"SCTP", f("127.96.0.1", routing.SCTP, one, one), false, false, 0, 0},
		{"any address", f("0.0.0.0", routing.TCP, one, one), false, false, 0, 0},
		{"multicast", f("ff02::1", routing.UDP, one, one), false, false, 0, 0},
	} {
		p := compile([]routing.Frontend{c.f})
		got := p.serve[c.f.Dest()]
		if (got != nil) != c.served || (len(p.refused) == 1) == c.served {
			t.Errorf("%s: served %v, refused %v", c.name, got != nil, p.refused)
			continue
		}
		if got == nil {
			if e := p.refused[0]; e.Key != c.f.Key || !errors.Is(e, errors.ErrUnsupported) {
				t.Errorf("%s: %v", c.name, e)
			}
			continue
		}
		inside, outside := got.picker(routing.Origin{}).Len(), got.picker(routing.Origin{Outside: true}).Len()
		if got.hasBackends() != c.open || inside != c.inside || outside != c.there {
			t.Errorf("%s: open %v, inside %d, outside %d", c.name, got.hasBackends(), inside, outside)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for _, c := range []struct {
		from, at string
		outside  bool
	}{
		{"127.0.0.1", "127.96.0.1", false}, {"::1", "::1", false}, {"::ffff:127.0.0.1", "127.0.0.1", false},
		{"192.0.2.1", "192.0.2.1", false}, {"192.0.2.9", "192.0.2.1", true}, {"2001:db8::9", "2001:db8::1", true},
	} {
		got := originOf(netip.MustParseAddr(c.from), netip.MustParseAddr(c.at))
		if got.Outside != c.outside || got.Addr.Is4In6() {
			t.Errorf("%s to %s: %+v", c.from, c.at, got)
		}
	}
}
