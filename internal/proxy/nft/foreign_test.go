package nft_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/routing"
)

// A foreign hand's work is noticed, whatever it did, and undone by the next Sync of everything; our own is not noticed.
func TestForeignHand(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	want := with(entry("a", frontends("a", 1)), entry("b", frontends("b", 2)))
	sync(t, b, want, nil)
	ctx, cancel := context.WithCancel(t.Context())
	noticed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func() { noticed <- struct{}{} }) }()
	before := dump(t, lab)
	for name, hand := range nft.Hands {
		lab.In(proxytest.Node, hand)
		select {
		case <-noticed:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: not noticed", name)
		}
		if dump(t, lab) == before {
			t.Errorf("%s: changed nothing", name)
		}
		sync(t, b, want, nil)
		if after := dump(t, lab); after != before {
			t.Errorf("%s: repaired to\n%s\nwant\n%s", name, after, before)
		}
	}
	for calm := false; !calm; { // a hand may work in several strokes, and there is no telling which is the last
		select {
		case <-noticed:
		case <-time.After(300 * time.Millisecond):
			calm = true
		}
	}
	sync(t, b, with(), nil)
	lab.In(proxytest.Node, nft.OtherTable) // the first thing to be heard after our own work
	sync(t, b, want, nil)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("watching: %v", err)
	}
	if len(noticed) > 0 {
		t.Error("our own work, or that in another table, was taken for a foreign hand's")
	}
}

// A change that meets a table that is not as it was left reads it, and is applied.
func TestForeignHandBeforeAChange(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	sync(t, b, with(entry("a", frontends("a", 1))), nil)
	for name, hand := range nft.Hands {
		lab.In(proxytest.Node, hand)
		now := with(entry("a", frontends("a", 1)))
		sync(t, b, now, []routing.Name{{Namespace: "test", Name: "a"}}) // nothing to do, so nothing is found
		now, changed := now.With(entry("a", nil))
		if err := b.Sync(t.Context(), now, changed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sync(t, b, with(entry("a", frontends("a", 1))), nil)
	}
}

// One Service that the kernel refuses does not keep the others from being served, and the error names it.
func TestOneRefusedService(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	good, bad := frontends("good", 1), frontends("bad", 2)[:1]
	var tooMany []routing.Backend
	for range 4 {
		tooMany = append(tooMany, pool(false, 10000).Backends...)
	}
	bad[0].Inside.Backends = tooMany
	want := with(entry("good", good), entry("bad", bad))
	for _, changed := range [][]routing.Name{nil, want.Services()} {
		failed, rest := routing.Split(b.Sync(t.Context(), want, changed))
		if len(failed) != 1 || rest != nil || failed[0].Service.Name != "bad" {
			t.Errorf("failed: %v; %v", failed, rest)
		}
	}
	lab.In(proxytest.Node, func() error {
		d, err := nft.Describe()
		if len(d.Places) != len(good) {
			t.Errorf("%d places are served, want %d", len(d.Places), len(good))
		}
		return err
	})
}

func TestClosedBackend(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	sync(t, b, with(entry("a", frontends("a", 1))), nil)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := dump(t, lab); got != "" {
		t.Errorf("Close left\n%s", got)
	}
	if err := b.Sync(t.Context(), with(), nil); err == nil {
		t.Error("Sync after Close says nothing")
	}
	if err := errors.Join(b.Close(), b.Leave()); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// What the kernel itself refuses is told with its Service, all else is applied, and the next try heals.
func TestKernelRefusesAService(t *testing.T) {
	lab := proxytest.NewLab(t)
	b := open(t, lab)
	sync(t, b, &routing.Table{}, nil)
	good, bad := frontends("good", 1), frontends("bad", 2)
	for i := range bad { // a range of the other family, which package table never lets through
		if len(bad[i].Allow) > 0 && bad[i].Addr.Is4() {
			bad[i].Allow = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
		}
	}
	want := with(entry("good", good), entry("bad", bad), entry("other", frontends("other", 3)))
	for name, changed := range map[string][]routing.Name{"at a change": want.Services(), "at a start": nil} {
		failed, rest := routing.Split(b.Sync(t.Context(), want, changed))
		if len(failed) != 1 || rest != nil || failed[0].Service.Name != "bad" || !errors.Is(failed[0], unix.EINVAL) {
			t.Errorf("%s: failed: %v; %v", name, failed, rest)
		}
		lab.In(proxytest.Node, func() error {
			d, err := nft.Describe()
			if len(d.Places) != 2*len(good) {
				t.Errorf("%s: %d places are served, want %d", name, len(d.Places), 2*len(good))
			}
			return err
		})
	}
	// What it shares with others is there for them: they are asked for, and must not wait for it.
	want, _ = want.With(entry("zz", []routing.Frontend{neighbour(bad)}))
	if failed, rest := routing.Split(b.Sync(t.Context(), want, nil)); len(failed) != 1 || rest != nil {
		t.Errorf("failed: %v; %v", failed, rest)
	}
	if d := dump(t, lab); !strings.Contains(d, "ip set addresses "+neighbour(bad).Addr.String()+":0/") {
		t.Errorf("an address that a refused Service shares with another is not served:\n%s", d)
	}
	healed := with(entry("good", good), entry("bad", frontends("bad", 2)), entry("other", frontends("other", 3)))
	sync(t, b, healed, []routing.Name{{Namespace: "test", Name: "bad"}})
	before := b.Stats().Elements
	sync(t, b, healed, nil)
	if n := b.Stats().Elements - before; n != 0 {
		t.Errorf("after it healed the kernel differs in %d elements", n)
	}
}

// neighbour is a Frontend on another port of the load balancer address that the Service has.
func neighbour(fs []routing.Frontend) routing.Frontend {
	for _, f := range fs {
		if f.Kind == routing.LoadBalancer && f.Addr.Is4() {
			f.Port, f.Allow, f.Service = 9999, nil, routing.Name{Namespace: "test", Name: "zz", Port: "other"}
			return f
		}
	}
	return routing.Frontend{}
}
