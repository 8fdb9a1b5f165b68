package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"viaduct/internal/routing"
)

// A Trace is the prediction of what happens to a connection.
type Trace struct {
	Found    bool             // a Service has the address
	Outside  bool             // the client is neither this node nor one of its Pods
	Frontend routing.Frontend // the one that takes the connection, with the current weights
	Pool     routing.Pool     // the one that serves the connection, with the current weights
	Policy   routing.Policy   // how an endpoint is picked; not Frontend.Policy if the Backend cannot serve it
	Degraded string           // why Policy is not Frontend.Policy, as a clause; empty if it is
}

// Trace predicts what happens to a connection between two addresses. An invalid from means this node.
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

// TraceIn predicts by table t what happens to a connection at now. It assumes a Backend that serves every policy.
func TraceIn(t *routing.Table, from routing.Origin, to netip.AddrPort, proto routing.Proto, now time.Time) Trace {
	trace := Trace{Outside: from.Outside}
	f, _, found := t.Lookup(from, to, proto)
	if trace.Found = found; found {
		trace.Frontend = f.At(now)
		trace.Pool, trace.Policy = trace.Frontend.PoolFor(from), f.Policy
	}
	return trace
}

// Choice describes how one of the Pool's backends is picked for a client. The text introduces a list of the backends.
// An invalid client means that the client's address is not known.
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

// Share describes the share of connections that a backend of the Pool gets. It returns nothing if all shares are equal.
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
