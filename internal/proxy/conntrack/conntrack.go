// Package conntrack makes the kernel forget UDP conversations that lead nowhere. The kernel decides where a
// conversation goes at its first packet, and a client that keeps on sending keeps the decision alive: at an endpoint
// that has gone, or at nobody, if there was none at first. TCP and SCTP have ends of their own, so what is established
// is never touched; only attempts to connect that met no table at all are forgotten too, when everything is looked at:
// another attempt from the same port would go where they went.
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

// tries bounds how often the list of conversations is read again because it changed meanwhile. What is missed by the
// last one is found by the next call.
const tries = 5

// Clean forgets the conversations that are stale now that after took the place of before, in the network namespace of
// the calling thread, and says how many. changed names the Services that differ; nil means that nothing is known of
// what was before, and every conversation is looked at.
func Clean(ctx context.Context, before, after *routing.Table, changed []routing.Name) (forgotten int, err error) {
	s := newScope(before, after, changed)
	for _, family := range s.families() {
		for range tries {
			var n uint
			n, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, s)
			forgotten += int(n)
			if !errors.Is(err, netlink.ErrDumpInterrupted) || ctx.Err() != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return forgotten, fmt.Errorf("forgetting stale UDP conversations: %w", err)
		}
	}
	return forgotten, nil
}

// scope is what a conversation is judged by.
type scope struct {
	after *routing.Table
	all   bool                  // nothing is known of what was before
	gone  map[routing.Dest]bool // places that are no Service's any more
	v4    bool                  // whether there is anything to look for
	v6    bool
}

// newScope finds out whether the change can have left anything stale.
func newScope(before, after *routing.Table, changed []routing.Name) *scope {
	s := &scope{after: after, all: changed == nil, gone: map[routing.Dest]bool{}}
	names := changed
	if changed == nil {
		names = after.Services()
	}
	for _, name := range names {
		for _, f := range after.Of(name) {
			if s.all || f.Proto == routing.UDP && mayBeStale(before, f) {
				s.look(f.Addr)
			}
		}
		if s.all {
			continue
		}
		for _, f := range before.Of(name) {
			if f.Proto == routing.UDP && !answered(after, f.Dest()) {
				s.gone[f.Dest()] = true
				s.look(f.Addr)
			}
		}
	}
	return s
}

func (s *scope) look(a netip.Addr) {
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

func answered(t *routing.Table, d routing.Dest) bool {
	_, _, ok := t.Lookup(routing.Origin{}, d.Addr, d.Proto)
	return ok
}

// mayBeStale reports whether f, compared with before, lost somebody who served, or has somebody where there was nobody.
func mayBeStale(before *routing.Table, f routing.Frontend) bool {
	had, _, there := before.Lookup(routing.Origin{}, f.Dest().Addr, f.Proto)
	if !there {
		return true
	}
	if anybody(f) && !anybody(had) {
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

func anybody(f routing.Frontend) bool { return len(f.Inside.Backends)+len(f.Outside.Backends) > 0 }

// A flow is a conversation: where its client sends to, and who answers as the kernel sees it.
type flow struct {
	to   routing.Dest
	from netip.AddrPort
}

// stale reports whether a conversation leads to somebody who does not serve it. One with a place that is no Service's
// is none of our business, unless it was.
func (s *scope) stale(f flow) bool {
	if s.gone[f.to] {
		return true
	}
	service, _, ours := s.after.Lookup(routing.Origin{}, f.to.Addr, f.to.Proto)
	return ours && !service.Serves(f.from)
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s *scope) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	to, ok := addrPort(c.Forward.DstIP, c.Forward.DstPort)
	from, ok2 := addrPort(c.Reverse.SrcIP, c.Reverse.SrcPort)
	switch {
	case !ok || !ok2:
		return false
	case c.Forward.Protocol == unix.IPPROTO_TCP:
		return s.all && from == to && unanswered(c) && answered(s.after, routing.Dest{Addr: to, Proto: routing.TCP})
	}
	return c.Forward.Protocol == unix.IPPROTO_UDP && s.stale(flow{routing.Dest{Addr: to, Proto: routing.UDP}, from})
}

// unanswered reports whether a connection has not got beyond its first packet.
func unanswered(c *netlink.ConntrackFlow) bool {
	tcp, ok := c.ProtoInfo.(*netlink.ProtoInfoTCP)
	return ok && tcp.State == nl.TCP_CONNTRACK_SYN_SENT
}

func addrPort(ip net.IP, port uint16) (netip.AddrPort, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port), ok
}
