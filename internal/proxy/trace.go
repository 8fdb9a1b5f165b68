package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viaduct/internal/routing"
)

// A Trace is what would happen to a connection.
type Trace struct {
	Found    bool             // a Service answers at the address
	Outside  bool             // the connection comes from elsewhere than this node and its Pods
	Frontend routing.Frontend // that takes it, with the weights of now
	Pool     routing.Pool     // that serves it, with the weights of now
	Policy   routing.Policy   // by which an endpoint is picked; not Frontend.Policy if the Backend cannot serve that
	Degraded string           // why Policy is not Frontend.Policy, as a clause; empty if it is
}

// Trace says what would happen to a connection from an address (invalid: from this node) to a place.
func (p *Proxy) Trace(from netip.Addr, to netip.AddrPort, proto routing.Proto) Trace {
	p.memory.mu.Lock()
	outside := Outside(from, p.memory.node, p.memory.pods)
	p.memory.mu.Unlock()
	t := TraceIn(p.Applied(), routing.Origin{Addr: from, Outside: outside}, to, proto, time.Now())
	if limited, ok := p.opts.Backend.(PolicyLimited); ok && t.Found {
		if t.Degraded = limited.Unserved(t.Policy); t.Degraded != "" {
			t.Policy = routing.Random
		}
	}
	return t
}

// TraceIn says what a Backend that serves every policy would do with a connection at now, by the table t.
func TraceIn(t *routing.Table, from routing.Origin, to netip.AddrPort, proto routing.Proto, now time.Time) Trace {
	trace := Trace{Outside: from.Outside}
	f, _, found := t.Lookup(from, to, proto)
	if trace.Found = found; found {
		trace.Frontend = f.At(now)
		trace.Pool, trace.Policy = trace.Frontend.PoolFor(from), f.Policy
	}
	return trace
}

// Choice says how one of the Pool's backends is picked for a client, as the beginning of a list of them. An invalid
// client is one whose address is not known.
func (t Trace) Choice(client netip.Addr) string {
	switch {
	case t.Policy == routing.SourceHash && client.IsValid() && t.Frontend.Affinity == 0:
		picked, _ := routing.NewPicker(t.Pool, t.Policy).Pick(routing.Draw{Client: client})
		return fmt.Sprintf("It goes to %s, one of these", picked.Addr)
	case t.Policy == routing.Random && t.even():
		return "It goes to one of these, each with the same chance"
	}
	return "It goes to one of these"
}

// Share says which part of all connections a backend of the Pool gets, in words: none if each gets as much as the
// others.
func (t Trace) Share(b routing.Backend) []string {
	if t.even() {
		return nil
	}
	sum := uint64(0)
	for _, o := range t.Pool.Backends {
		sum += uint64(o.Weight)
	}
	return []string{fmt.Sprintf("weight %d of %d", b.Weight, sum)}
}

func (t Trace) even() bool {
	all := t.Pool.Backends
	return !slices.ContainsFunc(all, func(b routing.Backend) bool { return b.Weight != all[0].Weight })
}
