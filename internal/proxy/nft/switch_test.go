package nft_test

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/proxytest"
	"viaduct/internal/proxy/userspace"
)

// TestSwitch: the userspace proxy takes over from the kernel and gives back, while short connections are made all the
// time. None fails, and a connection that the kernel carries outlives the change to the other side.
func TestSwitch(t *testing.T) {
	r := newRollout(t)
	r.lab.In(proxytest.Node, func() error { // the userspace proxy listens where the Service is
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(r.place.Addr().String() + "/32")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, addr)
	})
	load := &zeroLoad{lab: r.lab, place: r.place, stop: make(chan struct{})}
	for _, h := range []proxytest.Host{proxytest.PodB, proxytest.Client} {
		load.clients.Go(func() { load.repeat(string(h), h, load.short) })
	}
	for range times(3, 20) {
		load.await(t, 300)
		open := r.connect()
		copies := r.toUserspace()
		load.await(t, 300)
		if err := load.request(open); err != nil {
			t.Errorf("a connection that the kernel carries: %v", err)
		}
		_ = open.Close() // it has served
		r.start()
		r.sync()
		load.await(t, 300) // what the userspace proxy carries ends by itself
		if err := copies.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if failures := load.end(); len(failures) > 0 {
		t.Errorf("%d connections failed, %d did not; the first:\n%s", len(failures), load.done.Load(),
			strings.Join(failures[:min(len(failures), 10)], "\n"))
	}
}

// toUserspace has the userspace proxy serve in the kernel's place.
func (r *rollout) toUserspace() proxy.Backend {
	r.Helper()
	if err := r.backend.Leave(); err != nil {
		r.Fatal(err)
	}
	copies := userspace.New(userspace.Options{})
	r.lab.In(proxytest.Node, func() error { return copies.Sync(r.Context(), r.table(), nil) })
	r.lab.In(proxytest.Node, func() error {
		retired, err := nft.Retire()
		if !retired {
			r.Error("there was no table to retire")
		}
		return err
	})
	return copies
}
