package conntrack

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

var (
	place = netip.MustParseAddrPort("10.96.0.10:53")
	one   = netip.MustParseAddrPort("10.244.0.2:5353")
	two   = netip.MustParseAddrPort("10.244.0.3:5353")
)

func service(at netip.AddrPort, serving []netip.AddrPort, eps ...netip.AddrPort) routing.Frontend {
	f := routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: at.Addr(), Port: at.Port(), Proto: routing.UDP},
		Service: routing.Name{Namespace: "a", Name: "dns"}, Serving: serving}
	for _, e := range eps {
		f.Inside.Backends = append(f.Inside.Backends, routing.Backend{Addr: e, Weight: 1})
	}
	f.Outside = f.Inside
	return f
}

func of(fs ...routing.Frontend) *routing.Table {
	t, _ := (&routing.Table{}).With(routing.Entry{Service: routing.Name{Namespace: "a", Name: "dns"}, Frontends: fs})
	return t
}

// Of TCP only attempts are forgotten that met no table, and only when everything is looked at.
func TestAttempts(t *testing.T) {
	f := service(place, nil, one)
	f.Proto = routing.TCP
	attempt := func(from netip.AddrPort, state uint8) *netlink.ConntrackFlow {
		c := &netlink.ConntrackFlow{ProtoInfo: &netlink.ProtoInfoTCP{State: state}}
		c.Forward = netlink.IPTuple{Protocol: unix.IPPROTO_TCP, DstIP: place.Addr().AsSlice(), DstPort: place.Port()}
		c.Reverse = netlink.IPTuple{Protocol: unix.IPPROTO_TCP, SrcIP: from.Addr().AsSlice(), SrcPort: from.Port()}
		return c
	}
	for _, c := range []struct {
		name    string
		flow    *netlink.ConntrackFlow
		changed []routing.Name
		stale   bool
	}{
		{"an attempt that met no table", attempt(place, nl.TCP_CONNTRACK_SYN_SENT), nil, true},
		{"the same, at a change", attempt(place, nl.TCP_CONNTRACK_SYN_SENT), []routing.Name{f.Service}, false},
		{"an attempt at an endpoint", attempt(one, nl.TCP_CONNTRACK_SYN_SENT), nil, false},
		{"a connection at an endpoint that left", attempt(two, nl.TCP_CONNTRACK_ESTABLISHED), nil, false},
		{"a connection that met no table", attempt(place, nl.TCP_CONNTRACK_ESTABLISHED), nil, false},
	} {
		if got := newScope(of(), of(f), c.changed).MatchConntrackFlow(c.flow); got != c.stale {
			t.Errorf("%s: stale %v", c.name, got)
		}
	}
}

func TestStale(t *testing.T) {
	dest := routing.Dest{Addr: place, Proto: routing.UDP}
	elsewhere := routing.Dest{Addr: netip.MustParseAddrPort("192.0.2.9:53"), Proto: routing.UDP}
	changed := []routing.Name{{Namespace: "a", Name: "dns"}}
	for _, c := range []struct {
		name          string
		before, after *routing.Table
		changed       []routing.Name
		flow          flow
		look, stale   bool
	}{
		{"its endpoint left", of(service(place, nil, one, two)), of(service(place, nil, two)), changed, flow{dest, one}, true,
			true},
		{"its endpoint stays", of(service(place, nil, one, two)), of(service(place, nil, two)), changed, flow{dest, two},
			true, false},
		{"its endpoint terminates and serves", of(service(place, nil, one)), of(service(place, []netip.AddrPort{one}, two)),
			changed, flow{dest, one}, false, false},
		{"such an endpoint is gone", of(service(place, []netip.AddrPort{one}, two)), of(service(place, nil, two)), changed,
			flow{dest, one}, true, true},
		{"nobody was there at first", of(service(place, nil)), of(service(place, nil, one)), changed, flow{dest, place}, true,
			true},
		{"there was no service at first", of(), of(service(place, nil, one)), changed, flow{dest, place}, true, true},
		{"the last endpoint left", of(service(place, nil, one)), of(service(place, nil)), changed, flow{dest, one}, true,
			true},
		{"the service went", of(service(place, nil, one)), of(), changed, flow{dest, one}, true, true},
		{"another place with the same port", of(service(place, nil, one)), of(service(place, nil)), changed,
			flow{elsewhere, one}, true, false},
		{"only somebody new", of(service(place, nil, one)), of(service(place, nil, one, two)), changed, flow{dest, one},
			false, false},
		{"after a restart", of(), of(service(place, nil, one)), nil, flow{dest, two}, true, true},
	} {
		s := newScope(c.before, c.after, c.changed)
		if look := len(s.families()) > 0; look != c.look {
			t.Errorf("%s: looked for anything: %v", c.name, look)
		}
		if got := s.stale(c.flow); got != c.stale {
			t.Errorf("%s: stale %v", c.name, got)
		}
	}
}
