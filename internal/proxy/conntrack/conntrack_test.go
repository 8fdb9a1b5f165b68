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
	serviceAddr = netip.MustParseAddrPort("10.96.0.10:53")
	one         = netip.MustParseAddrPort("10.244.0.2:5353")
	two         = netip.MustParseAddrPort("10.244.0.3:5353")
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

// TCP flows are stale only if they are not established and were not redirected, and only if all flows are examined.
func TestTCP(t *testing.T) {
	f := service(serviceAddr, nil, one)
	f.Proto = routing.TCP
	attempt := func(from netip.AddrPort, state uint8) *netlink.ConntrackFlow {
		c := &netlink.ConntrackFlow{ProtoInfo: &netlink.ProtoInfoTCP{State: state}}
		c.Forward = netlink.IPTuple{Protocol: unix.IPPROTO_TCP, DstIP: serviceAddr.Addr().AsSlice(),
			DstPort: serviceAddr.Port()}
		c.Reverse = netlink.IPTuple{Protocol: unix.IPPROTO_TCP, SrcIP: from.Addr().AsSlice(), SrcPort: from.Port()}
		return c
	}
	for _, c := range []struct {
		name    string
		flow    *netlink.ConntrackFlow
		changed []routing.Name
		stale   bool
	}{
		{"not redirected, not established", attempt(serviceAddr, nl.TCP_CONNTRACK_SYN_SENT), nil, true},
		{"the same at a change", attempt(serviceAddr, nl.TCP_CONNTRACK_SYN_SENT), []routing.Name{f.Service}, false},
		{"redirected, not established", attempt(one, nl.TCP_CONNTRACK_SYN_SENT), nil, false},
		{"established to an endpoint that left", attempt(two, nl.TCP_CONNTRACK_ESTABLISHED), nil, false},
		{"not redirected, established", attempt(serviceAddr, nl.TCP_CONNTRACK_ESTABLISHED), nil, false},
	} {
		if got := newScope(of(), of(f), c.changed).MatchConntrackFlow(c.flow); got != c.stale {
			t.Errorf("%s: stale %v", c.name, got)
		}
	}
}

func TestStale(t *testing.T) {
	dest := routing.Dest{Addr: serviceAddr, Proto: routing.UDP}
	elsewhere := routing.Dest{Addr: netip.MustParseAddrPort("192.0.2.9:53"), Proto: routing.UDP}
	changed := []routing.Name{{Namespace: "a", Name: "dns"}}
	for _, c := range []struct {
		name          string
		before, after *routing.Table
		changed       []routing.Name
		flow          flow
		look, stale   bool
	}{
		{"its endpoint left", of(service(serviceAddr, nil, one, two)), of(service(serviceAddr, nil, two)), changed,
			flow{dest, one}, true,
			true},
		{"its endpoint stays", of(service(serviceAddr, nil, one, two)), of(service(serviceAddr, nil, two)), changed,
			flow{dest, two},
			true, false},
		{"its endpoint terminates and serves", of(service(serviceAddr, nil, one)),
			of(service(serviceAddr, []netip.AddrPort{one}, two)),
			changed, flow{dest, one}, false, false},
		{"a terminating endpoint is gone", of(service(serviceAddr, []netip.AddrPort{one}, two)),
			of(service(serviceAddr, nil, two)), changed,
			flow{dest, one}, true, true},
		{"there was no endpoint at first", of(service(serviceAddr, nil)), of(service(serviceAddr, nil, one)), changed,
			flow{dest, serviceAddr}, true,
			true},
		{"there was no service at first", of(), of(service(serviceAddr, nil, one)), changed, flow{dest, serviceAddr}, true,
			true},
		{"the last endpoint left", of(service(serviceAddr, nil, one)), of(service(serviceAddr, nil)), changed,
			flow{dest, one}, true,
			true},
		{"the service is gone", of(service(serviceAddr, nil, one)), of(), changed, flow{dest, one}, true, true},
		{"another address with the same port", of(service(serviceAddr, nil, one)), of(service(serviceAddr, nil)), changed,
			flow{elsewhere, one}, true, false},
		{"one more endpoint", of(service(serviceAddr, nil, one)), of(service(serviceAddr, nil, one, two)), changed,
			flow{dest, one},
			false, false},
		{"after a restart", of(), of(service(serviceAddr, nil, one)), nil, flow{dest, two}, true, true},
	} {
		s := newScope(c.before, c.after, c.changed)
		if look := len(s.families()) > 0; look != c.look {
			t.Errorf("%s: examined flows: %v", c.name, look)
		}
		if got := s.stale(c.flow); got != c.stale {
			t.Errorf("%s: stale %v", c.name, got)
		}
	}
}
