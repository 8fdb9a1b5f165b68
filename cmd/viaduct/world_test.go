package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"viaduct/internal/proxy"
)

func upIn(dir string, services, pods []netip.Prefix) *upOptions {
	o := &upOptions{}
	o.server.dataDir, o.server.serviceCIDRs, o.agent.podCIDRs = dir, services, pods
	o.proxy.mode, o.agent.runtime = proxyAuto, runtimeProcess
	return o
}

// A range that nobody chose is in the world of the one that somebody did.
func TestFillKeepsToOneWorld(t *testing.T) {
	other := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	own := []netip.Prefix{netip.MustParsePrefix("127.5.0.0/16")}
	for _, c := range []struct{ services, pods, wantServices, wantPods []netip.Prefix }{
		{nil, nil, loopbackServices, loopbackPods},
		{own, nil, own, loopbackPods},
		{nil, own, loopbackServices, own},
		{other, nil, other, namespacedPods},
		{nil, other, namespacedServices, other},
	} {
		o := upIn(t.TempDir(), c.services, c.pods)
		o.fill()
		if !slices.Equal(o.server.serviceCIDRs, c.wantServices) || !slices.Equal(o.agent.podCIDRs, c.wantPods) {
			t.Errorf("%v, %v: became %v, %v", c.services, c.pods, o.server.serviceCIDRs, o.agent.podCIDRs)
		}
	}
}

// What was used is what the next start uses, but for what its flags say.
func TestRangesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	services := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/112")}
	pods := []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}
	if err := upIn(dir, services, pods).remember(); err != nil {
		t.Fatal(err)
	}
	chosen := []netip.Prefix{netip.MustParsePrefix("10.3.0.0/16")}
	for _, c := range []struct{ flag, want []netip.Prefix }{{nil, pods}, {chosen, chosen}} {
		o := upIn(dir, nil, c.flag)
		if err := o.recall(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(o.server.serviceCIDRs, services) || !slices.Equal(o.agent.podCIDRs, c.want) {
			t.Errorf("recalled %v, %v", o.server.serviceCIDRs, o.agent.podCIDRs)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, rangesFile), []byte("--pod-cidr everywhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := upIn(dir, nil, nil).recall(); err == nil {
		t.Error("ranges that nobody can read are taken for none")
	}
}

// A store from before ranges were remembered holds loopback addresses, so nobody is moved out of that world.
func TestOldDataStaysInItsWorld(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if upIn(dir, nil, nil).mayNamespace() {
		t.Error("a directory with a store may change its world")
	}
}

func TestNodePortAddresses(t *testing.T) {
	for _, c := range []struct {
		in, text string
		bad      bool
	}{
		{"primary", "primary", false},
		{"10.0.0.0/8,192.168.0.0/16,fd00::/8", "10.0.0.0/8,192.168.0.0/16,fd00::/8", false},
		{"all", "", true},
		{"10.0.0.1/8", "", true},
	} {
		var ports proxy.NodePorts
		flag := nodePortAddresses{&ports}
		if err := flag.Set(c.in); (err != nil) != c.bad {
			t.Errorf("%q: %v", c.in, err)
		} else if err == nil && flag.String() != c.text {
			t.Errorf("%q: became %q", c.in, flag.String())
		}
	}
}
