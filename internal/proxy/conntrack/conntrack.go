// Package conntrack deletes stale UDP flows from the kernel's connection tracking. The kernel chooses the destination
// of a flow at its first packet, and keeps the choice while packets follow. So a client that keeps sending stays with
// an endpoint that is gone, or without an endpoint if there was none at first.
//
// TCP and SCTP connections end by themselves, so the package deletes no established ones. When [Clean] examines all
// flows, it also deletes TCP connections that are not established and were not redirected: they began before the
// Service's rules existed, and another attempt from the same client port would meet the same flow.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// tries bounds how often the flows are listed again because they changed during the listing. The next call of Clean
// finds flows that the last listing missed.
const tries = 5

// Clean deletes the flows that are stale after the Services changed from before to after, in the network namespace of
// the calling thread, and returns their number. changed names the Services that differ. If changed is nil, before is
// unknown, and Clean examines the flows of all Services. It needs CAP_NET_ADMIN.
func Clean(ctx context.Context, before, after *routing.Table, changed []routing.Name) (deleted int, err error) {
	s := newScope(before, after, changed)
	for _, family := range s.families() {
		for range tries {
			var n uint
			n, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, s)
			deleted += int(n)
			if !errors.Is(err, netlink.ErrDumpInterrupted) || ctx.Err() != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return deleted, fmt.Errorf("deleting stale UDP flows: %w", err)
		}
	}
	return deleted, nil
}

// scope decides which flows are stale.
type scope struct {
	after *routing.Table
	all   bool                  // the Services before are unknown
	gone  map[routing.Dest]bool // addresses and ports that have stopped being a Service's
	v4    bool                  // there may be stale flows of IPv4
	v6    bool                  // there may be stale flows of IPv6
}

// newScope finds the addresses whose flows may be stale after a change.
func newScope(before, after *routing.Table, changed []routing.Name) *scope {
	s := &scope{after: after, all: changed == nil, gone: map[routing.Dest]bool{}}
	names := changed
	if changed == nil {
		names = after.Services()
	}
	for _, name := range names {
		for _, f := range after.Of(name) {
			if s.all || f.Proto == routing.UDP && mayBeStale(before, f) {
				s.include(f.Addr)
			}
		}
		if s.all {
			continue
		}
		for _, f := range before.Of(name) {
			if f.Proto == routing.UDP && !isService(after, f.Dest()) {
				s.gone[f.Dest()] = true
				s.include(f.Addr)
			}
		}
	}
	return s
}

func (s *scope) include(a netip.Addr) {
	s.v4, s.v6 = s.v4 || a.Is4(), s.v6 || a.Is6()
}

func (s *scope) families() (list []netlink.InetFamily) {
	if s.v4 {
		list = append(list, unix.AF_INET)
	}
	if s.v6 {
		list = append(list, unix.AF_INET6)
	}
	return list
}

// isService reports whether an address and port belong to a Service.
func isService(t *routing.Table, d routing.Dest) bool {
	_, _, ok := t.Lookup(routing.Origin{}, d.Addr, d.Proto)
	return ok
}

// mayBeStale reports whether f has lost an endpoint since before, or has endpoints and had none.
func mayBeStale(before *routing.Table, f routing.Frontend) bool {
	had, _, there := before.Lookup(routing.Origin{}, f.Dest().Addr, f.Proto)
	if !there {
		return true
	}
	if hasBackends(f) && !hasBackends(had) {
		return true
	}
	for _, p := range []routing.Pool{had.Inside, had.Outside} {
		for _, b := range p.Backends {
			if !f.Serves(b.Addr) {
				return true
			}
		}
	}
	for _, a := range had.Serving {
		if !f.Serves(a) {
			return true
		}
	}
	return false
}

func hasBackends(f routing.Frontend) bool { return len(f.Inside.Backends)+len(f.Outside.Backends) > 0 }

// A flow is one flow of connection tracking.
type flow struct {
	to   routing.Dest   // the destination of the client's packets
	from netip.AddrPort // the source of the answers
}

// stale reports whether a flow goes to an endpoint that does not serve it. A flow to an address that is no Service's is
// stale only if the address was a Service's before.
func (s *scope) stale(f flow) bool {
	if s.gone[f.to] {
		return true
	}
	service, _, found := s.after.Lookup(routing.Origin{}, f.to.Addr, f.to.Proto)
	return found && !service.Serves(f.from)
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s *scope) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	to, ok := addrPort(c.Forward.DstIP, c.Forward.DstPort)
	from, ok2 := addrPort(c.Reverse.SrcIP, c.Reverse.SrcPort)
	switch {
	case !ok || !ok2:
		return false
	case c.Forward.Protocol == unix.IPPROTO_TCP:
		return s.all && from == to && unanswered(c) && isService(s.after, routing.Dest{Addr: to, Proto: routing.TCP})
	}
	return c.Forward.Protocol == unix.IPPROTO_UDP && s.stale(flow{routing.Dest{Addr: to, Proto: routing.UDP}, from})
}

// unanswered reports whether a TCP connection has only its first packet so far.
func unanswered(c *netlink.ConntrackFlow) bool {
	tcp, ok := c.ProtoInfo.(*netlink.ProtoInfoTCP)
	return ok && tcp.State == nl.TCP_CONNTRACK_SYN_SENT
}

func addrPort(ip net.IP, port uint16) (netip.AddrPort, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port), ok
}
