package nft_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

// open makes a backend on the lab's node.
func open(t *testing.T, lab *proxytest.Lab) *nft.Backend {
	t.Helper()
	var b *nft.Backend
	lab.In(proxytest.Node, func() (err error) {
		b, err = nft.New(nft.Options{Pods: proxytest.PodRanges()})
		return err
	})
	t.Cleanup(func() {
		if err := b.Leave(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// pool of n endpoints, of which each third is on this node.
func pool(v6 bool, n int) routing.Pool {
	p := routing.Pool{Empty: routing.Reject, Why: routing.All}
	for i := range n {
		raw := netip.MustParseAddr("10.244.0.0").As16()
		if v6 {
			raw = netip.MustParseAddr("fd00:244::").As16()
		}
		raw[14], raw[15] = byte((i+2)>>8), byte(i+2)
		p.Backends = append(p.Backends, routing.Backend{Addr: netip.AddrPortFrom(netip.AddrFrom16(raw).Unmap(), 8080),
			Weight: 1, Local: i%3 == 0})
	}
	return p
}

// frontends is a Service with something of everything.
func frontends(name string, n int) []routing.Frontend {
	var all []routing.Frontend
	for _, v6 := range []bool{false, true} {
		addr := netip.AddrFrom4([4]byte{10, 96, byte(n >> 8), byte(n)})
		external := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
		if v6 {
			addr = netip.MustParseAddr(fmt.Sprintf("fd00:96::%x", n+1))
			external = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n+1))
		}
		f := routing.Frontend{
			Key:     routing.Key{Kind: routing.ClusterIP, Addr: addr, Port: 80, Proto: routing.TCP},
			Service: routing.Name{Namespace: "test", Name: name, Port: "http"}, Inside: pool(v6, 3), Outside: pool(v6, 3),
			Policy: routing.Random,
		}
		g, h, i, j := f, f, f, f
		g.Port, g.Proto, g.Inside, g.Outside = 53, routing.UDP, pool(v6, 0), pool(v6, 0)
		h.Key = routing.Key{Kind: routing.LoadBalancer, Addr: external, Port: 80, Proto: routing.TCP}
		h.Outside = pool(v6, 1)
		h.Allow = []netip.Prefix{netip.PrefixFrom(external, external.BitLen()-8).Masked(), netip.PrefixFrom(external,
			external.BitLen())}
		i.Port, i.Affinity = 81, time.Hour
		i.Inside, i.Outside = pool(v6, 100), pool(v6, 2)
		j.Port, j.Inside, j.Outside = 82, pool(v6, 70), routing.Pool{Empty: routing.Drop, Why: routing.NoneLocal}
		all = append(all, f, g, h, i, j)
	}
	slices.SortFunc(all, func(a, b routing.Frontend) int { return a.Key.Compare(b.Key) })
	return all
}

func entry(name string, fs []routing.Frontend) routing.Entry {
	return routing.Entry{Service: routing.Name{Namespace: "test", Name: name}, Frontends: fs}
}

// with is a table of these entries.
func with(entries ...routing.Entry) *routing.Table {
	t, _ := (&routing.Table{}).With(entries...)
	return t
}

func sync(t *testing.T, b *nft.Backend, to *routing.Table, changed []routing.Name) {
	t.Helper()
	if err := b.Sync(t.Context(), to, changed); err != nil {
		t.Fatalf("Sync: %v", err)
	}
}

// dump is all that a table of ours holds, from the kernel.
func dump(t *testing.T, lab *proxytest.Lab) string {
	t.Helper()
	var text string
	lab.In(proxytest.Node, func() (err error) {
		text, err = nft.Dump()
		return err
	})
	return text
}

func TestRestartWritesNothing(t *testing.T) {
	lab := proxytest.NewLab(t)
	first := open(t, lab)
	want := with(entry("a", frontends("a", 1)), entry("b", frontends("b", 2)))
	sync(t, first, want, nil)
	before := dump(t, lab)
	if err := first.Leave(); err != nil {
		t.Fatal(err)
	}
	second := open(t, lab)
	sync(t, second, want, nil)
	if n := second.Stats().Elements; n != 0 {
		t.Errorf("a restart wrote %d elements", n)
	}
	if after := dump(t, lab); after != before {
		t.Errorf("a restart changed the table\n%s\nto\n%s", before, after)
	}
}

// Whatever way leads to a table, the kernel holds the same elements, but for who sits where.
func TestChangesAddUp(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	sync(t, b, &routing.Table{}, nil)
	empty := dump(t, lab)
	now := &routing.Table{}
	step := func(entries ...routing.Entry) {
		t.Helper()
		next, changed := now.With(entries...)
		now = next
		sync(t, b, now, changed)
		written := b.Stats().Elements
		sync(t, b, now, nil) // compares with the kernel
		if n := b.Stats().Elements - written; n != 0 {
			t.Errorf("after a change the kernel differed in %d elements", n)
		}
	}
	few := frontends("a", 1)
	fewer := slices.Clone(few[:len(few)/2])
	for i := range fewer {
		fewer[i].Affinity, fewer[i].Inside = 0, pool(fewer[i].Addr.Is6(), 5)
	}
	step(entry("a", few))
	step(entry("b", frontends("b", 2)))
	step(entry("a", fewer))
	step(entry("a", few), entry("b", frontends("b", 3)))
	step(entry("a", nil))
	step(entry("b", nil))
	if got := nft.WithoutClasses(dump(t, lab)); got != nft.WithoutClasses(empty) {
		t.Errorf("when all has gone there is left\n%s", got)
	}
}

func TestOneHoldsAHost(t *testing.T) {
	lab := proxytest.NewLab(t)
	open(t, lab)
	err := lab.Do(proxytest.Node, func() error {
		_, err := nft.New(nft.Options{})
		return err
	})
	if !errors.Is(err, nft.ErrHeld) {
		t.Errorf("a second backend: %v", err)
	}
	err = lab.Do(proxytest.Node, func() error {
		_, err := nft.Remove(false)
		return err
	})
	if !errors.Is(err, nft.ErrHeld) {
		t.Errorf("removing what is in use: %v", err)
	}
}
