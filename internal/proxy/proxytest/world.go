package proxytest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"viaduct/internal/proxy"
	"viaduct/internal/routing"
)

// patience bounds every wait, so that a broken backend fails a test and does not hang it.
const patience = 10 * time.Second

// world is a backend with the table of its last sync, and the addresses of the test.
type world struct {
	*testing.T
	backend proxy.Backend
	net     netip.Prefix
	table   *routing.Table
	next    byte // the last byte of the next address, for Frontends and endpoints
}

func newWorld(t *testing.T, b proxy.Backend, opts Options) *world {
	w := &world{T: t, backend: b, net: opts.Net, table: &routing.Table{}}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the backend: %v", err)
		}
	})
	w.sync(nil)
	return w
}

// addr returns an address that is not used in this world.
func (w *world) addr() netip.Addr {
	w.Helper()
	if w.next++; w.next == 255 {
		w.Fatal("this world has no more addresses")
	}
	a := w.net.Masked().Addr().As4()
	a[3] += w.next
	return netip.AddrFrom4(a)
}

// place returns an address and port for a Frontend. The port is above those that need a privilege, and below those that
// the kernel gives to clients.
func (w *world) place() netip.AddrPort { return netip.AddrPortFrom(w.addr(), 7080) }

// pool returns a pool of endpoints. An empty pool rejects.
func pool(eps ...netip.AddrPort) routing.Pool {
	p := routing.Pool{Empty: routing.Reject, Why: routing.None}
	for _, e := range eps {
		p.Backends, p.Why = append(p.Backends, routing.Backend{Addr: e, Weight: 1, Local: true}), routing.All
	}
	slices.SortFunc(p.Backends, func(a, b routing.Backend) int { return a.Addr.Compare(b.Addr) })
	return p
}

// frontend returns a Frontend of the Service name. edit changes it before it is used.
func frontend(name string, at netip.AddrPort, proto routing.Proto, p routing.Pool,
	edit ...func(*routing.Frontend)) routing.Frontend {
	f := routing.Frontend{
		Key: routing.Key{Kind: routing.ClusterIP, Addr: at.Addr(), Port: at.Port(), Proto: proto},
		Service: routing.Name{Namespace: "test", Name: name, Port: fmt.Sprintf("%s-%d", strings.ToLower(proto.String()),
			at.Port())},
		Inside: p, Outside: p, Policy: routing.Random,
	}
	for _, e := range edit {
		e(&f)
	}
	return f
}

// serve replaces the Frontends of the Service name by fs and syncs. An error of the sync fails the test.
func (w *world) serve(name string, fs ...routing.Frontend) {
	w.Helper()
	if err := w.try(name, fs...); err != nil {
		w.Fatalf("Sync: %v", err)
	}
}

// try is serve, but it returns the error of the sync.
func (w *world) try(name string, fs ...routing.Frontend) error {
	slices.SortFunc(fs, func(a, b routing.Frontend) int { return a.Key.Compare(b.Key) })
	next, changed := w.table.With(routing.Entry{Service: routing.Name{Namespace: "test", Name: name}, Frontends: fs})
	w.table = next
	return w.backend.Sync(w.Context(), next, changed)
}

// sync repeats the table as it is.
func (w *world) sync(changed []routing.Name) {
	w.Helper()
	if err := w.backend.Sync(w.Context(), w.table, changed); err != nil {
		w.Fatalf("Sync: %v", err)
	}
}

// dial connects as a client with the address from. An invalid from means any address.
func dial(from netip.Addr, to netip.AddrPort) (*net.TCPConn, error) {
	local := netip.AddrPort{}
	if from.IsValid() {
		local = netip.AddrPortFrom(from, 0)
	}
	d := net.Dialer{Timeout: patience}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	return tcp, tcp.SetDeadline(time.Now().Add(2 * patience))
}

// ask connects, reads who answers, and closes the connection normally. Any goroutine may call it.
func ask(from netip.Addr, to netip.AddrPort) (netip.AddrPort, error) {
	c, err := dial(from, to)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	who, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("reading who answers: %w", err)
	}
	return netip.ParseAddrPort(strings.TrimSpace(who))
}

// open connects and reads who answers. The connection is closed when the test ends.
func (w *world) open(to netip.AddrPort) (*net.TCPConn, *bufio.Reader, netip.AddrPort) {
	w.Helper()
	c, err := dial(netip.Addr{}, to)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	r := bufio.NewReader(c)
	who, err := r.ReadString('\n')
	if err != nil {
		w.Fatal(err)
	}
	return c, r, netip.MustParseAddrPort(strings.TrimSpace(who))
}

// judge connects once and compares the result with Lookup.
func (w *world) judge(to netip.AddrPort, proto routing.Proto) netip.AddrPort {
	w.Helper()
	_, want, _ := w.table.Lookup(routing.Origin{}, to, proto)
	var who netip.AddrPort
	var err error
	started := time.Now()
	if proto == routing.UDP {
		who, err = askUDP(to)
	} else {
		who, err = ask(netip.Addr{}, to)
	}
	if len(want.Backends) == 0 {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			w.Fatalf("%s/%s has no endpoint; got %v, %v, want connection refused", to, proto, who, err)
		}
		if took := time.Since(started); took > time.Second {
			w.Fatalf("%s/%s refused only after %s", to, proto, took)
		}
		return who
	}
	if err != nil {
		w.Fatalf("%s/%s: %v", to, proto, err)
	}
	if _, serves := want.Find(who); !serves {
		w.Fatalf("%s/%s was answered by %s, which is not in %v", to, proto, who, want.Backends)
	}
	return who
}
