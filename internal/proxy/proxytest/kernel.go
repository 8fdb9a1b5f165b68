package proxytest

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/proxy"
	"viaduct/internal/routing"
)

// RunKernel tests backends that make the kernel of a node redirect connections. Each test has a Lab of its own. open is
// called on a thread in the node's network namespace.
func RunKernel(t *testing.T, open func(t *testing.T) (proxy.Backend, error)) {
	start := func(test func(*lab)) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			l := &lab{T: t, Lab: NewLab(t), table: &routing.Table{}}
			l.In(Node, func() (err error) {
				l.backend, err = open(t)
				return err
			})
			t.Cleanup(func() {
				if err := l.backend.Close(); err != nil {
					t.Errorf("closing the backend: %v", err)
				}
			})
			test(l)
		}
	}
	for _, c := range []struct {
		name string
		test func(*lab)
	}{
		{"every kind, protocol, family and origin", everything},
		{"a Pod reaches itself", hairpin},
		{"without endpoints", withoutEndpoints},
		{"traffic policies", policies},
		{"source ranges", kernelRanges},
		{"affinity holds and yields", kernelAffinity},
		{"affinity ends", affinityEnds},
		{"affinity with other pools for outside", affinityOutside},
		{"many endpoints", manyEndpoints},
		{"weights", weights},
		{"weights that change", kernelWeightChanges},
		{"round-robin", kernelInTurn},
		{"source-hash", kernelBySource},
		{"policies with affinity", kernelPoliciesWithAffinity},
		{"changes under load fail no connection", kernelChanges},
		{"established connections are kept", kernelEstablished},
		{"UDP leaves an endpoint that left", kernelUDPMoves},
		{"random tables", randomKernelTables},
	} {
		t.Run(c.name, start(c.test))
	}
}

// lab is a Lab with a backend on its node, and the table of the last sync.
type lab struct {
	*testing.T
	*Lab
	backend proxy.Backend
	table   *routing.Table
}

// How long a client waits for an answer that must come, and for one that must not come.
const (
	answerPatience = 5 * time.Second
	dropPatience   = 300 * time.Millisecond
)

// origins are the hosts of the clients. A backend must distinguish all of them.
var origins = []Host{Node, PodA, PodB, FarPod, Client}

// origin returns the host as Lookup knows it.
func (h Host) origin(v6 bool) routing.Origin {
	if h == Node {
		return routing.Origin{}
	}
	return routing.Origin{Addr: h.Addr(v6), Outside: h != PodA && h != PodB}
}

// here reports whether the address belongs to the node or to one of its Pods.
func here(a netip.Addr) bool {
	return slices.ContainsFunc([]Host{Node, PodA, PodB}, func(h Host) bool { return a == h.Addr(a.Is6()) })
}

// nodeAddress reports whether the address belongs to the node.
func nodeAddress(a netip.Addr) bool {
	return slices.Contains([]string{"192.168.50.1", "10.244.0.1", "fd00:50::1", "fd00:244::1"}, a.String())
}

// on returns an endpoint on a host.
func on(h Host, v6 bool, port uint16) netip.AddrPort { return netip.AddrPortFrom(h.Addr(v6), port) }

// poolOf returns a pool of endpoints. Those of the node and its Pods are Local. An empty pool rejects.
func poolOf(snat bool, eps ...netip.AddrPort) routing.Pool {
	p := pool(eps...)
	p.SNAT = snat
	for i := range p.Backends {
		p.Backends[i].Local = here(p.Backends[i].Addr.Addr())
	}
	return p
}

// clusterFrontend returns a ClusterIP's Frontend as package routing builds it.
func clusterFrontend(name string, at netip.AddrPort, proto routing.Proto, eps ...netip.AddrPort) routing.Frontend {
	f := frontend(name, at, proto, poolOf(false, eps...))
	f.Outside.SNAT = true
	return f
}

func (l *lab) serve(name string, fs ...routing.Frontend) {
	l.Helper()
	slices.SortFunc(fs, func(a, b routing.Frontend) int { return a.Key.Compare(b.Key) })
	next, changed := l.table.With(routing.Entry{Service: routing.Name{Namespace: "test", Name: name}, Frontends: fs})
	l.table = next
	l.sync(changed)
}

// sync runs in the node's namespace, because some work of a backend does not go through its own sockets.
func (l *lab) sync(changed []routing.Name) {
	l.Helper()
	l.In(Node, func() error { return l.backend.Sync(l.Context(), l.table, changed) })
}

// judge connects once from a host and compares the result with the table.
func (l *lab) judge(from Host, to netip.AddrPort, proto routing.Proto) Answer {
	l.Helper()
	origin := from.origin(to.Addr().Is6())
	_, want, known := l.table.Lookup(origin, to, proto)
	if !known {
		return Answer{}
	}
	if len(want.Backends) == 0 {
		l.judgeRefusal(from, to, proto, want)
		return Answer{}
	}
	got, err := l.Ask(from, to, proto, answerPatience)
	if err != nil {
		l.Fatalf("%s to %s/%s: %v; want one of %v", from, to, proto, err, want.Backends)
	}
	at, serves := want.Find(got.By)
	if !serves {
		l.Fatalf("%s to %s/%s was answered by %s, which is not in %v", from, to, proto, got.By, want.Backends)
	}
	l.judgeSource(from, to, got, want.Hides(origin, want.Backends[at]))
	return got
}

func (l *lab) judgeSource(from Host, to netip.AddrPort, got Answer, hidden bool) {
	l.Helper()
	switch {
	case from == Node || hidden:
		if !nodeAddress(got.Seen) && !(from == Node && got.Seen == to.Addr()) {
			l.Fatalf("%s to %s: %s saw %s, want an address of the node", from, to, got.By, got.Seen)
		}
	case got.Seen != from.Addr(to.Addr().Is6()):
		l.Fatalf("%s to %s: %s saw %s, want the client's address", from, to, got.By, got.Seen)
	}
}

func (l *lab) judgeRefusal(from Host, to netip.AddrPort, proto routing.Proto, want routing.Pool) {
	l.Helper()
	if want.Empty == routing.Drop {
		got, err := l.Ask(from, to, proto, dropPatience)
		if !timedOut(err) {
			l.Fatalf("%s to %s/%s, which drops: got %v, %v", from, to, proto, got, err)
		}
		return
	}
	started := time.Now()
	got, err := l.Ask(from, to, proto, answerPatience)
	if from == Node && proto == routing.UDP && errors.Is(err, unix.EPERM) {
		return // the kernel's error for a local datagram that it rejects
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		l.Fatalf("%s to %s/%s, which rejects: got %v, %v", from, to, proto, got, err)
	}
	if took := time.Since(started); took > time.Second {
		l.Fatalf("%s to %s/%s was refused only after %s", from, to, proto, took)
	}
}

func timedOut(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINPROGRESS) || errors.Is(err, os.ErrDeadlineExceeded)
}

// judgeAll calls judge for all origins.
func (l *lab) judgeAll(to netip.AddrPort, proto routing.Proto) {
	l.Helper()
	for _, h := range origins {
		l.judge(h, to, proto)
	}
}
