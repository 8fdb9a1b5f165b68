package main

import (
	"net/netip"
	"strings"
	"testing"

	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/proxy"
)

func TestCIDRFlag(t *testing.T) {
	for _, c := range []struct{ in, why string }{
		{"127.96.0.0/16", ""},
		{"127.96.0.0", "want an address range"},
		{"127.96.0.1/16", "want 127.96.0.0/16"},
		{"", "want an address range"},
	} {
		var p netip.Prefix
		err := cidr{&p}.Set(c.in)
		if c.why == "" && (err != nil || p.String() != c.in) {
			t.Errorf("%q: %v, set %s", c.in, err, p)
		}
		if c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || p.IsValid()) {
			t.Errorf("%q: %v, want %q", c.in, err, c.why)
		}
	}
}

func TestCIDRsFlag(t *testing.T) {
	for _, c := range []struct{ in, why string }{
		{"10.96.0.0/16", ""},
		{"fd00::/112,10.96.0.0/16", ""},
		{"10.96.0.0/16,10.97.0.0/16", "one IPv4 and one IPv6"},
		{"10.96.0.0/16,fd00::/112,fd01::/112", "one IPv4 and one IPv6"},
		{"10.96.0.0/16,", "want an address range"},
		{"10.96.0.1/16", "want 10.96.0.0/16"},
	} {
		var list []netip.Prefix
		err := cidrs{&list}.Set(c.in)
		if c.why == "" && (err != nil || cidrs{&list}.String() != c.in) {
			t.Errorf("%q: %v, set %v", c.in, err, list)
		}
		if c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || list != nil) {
			t.Errorf("%q: %v, want %q", c.in, err, c.why)
		}
	}
}

func TestPortRangeFlag(t *testing.T) {
	for in, ok := range map[string]bool{
		"30000-32767": true, "1-65535": true, "80-80": true, "0-80": false, "80": false, "81-80": false, "1-65536": false,
		"-1-80": false, "": false, "a-b": false,
	} {
		var ports allocation.PortRange
		if err := (portRange{&ports}).Set(in); (err == nil) != ok || ok && ports.String() != in {
			t.Errorf("%q: %v, set %s, want accepted: %t", in, err, ports, ok)
		}
	}
}

func TestHostPortFlag(t *testing.T) {
	for in, ok := range map[string]bool{"127.0.0.1:7443": true, "[::1]:0": true, "localhost:1": false, "127.0.0.1": false,
		"127.0.0.1:65536": false} {
		var v string
		if err := (hostPort{&v}).Set(in); (err == nil) != ok {
			t.Errorf("%q: %v, want accepted: %t", in, err, ok)
		}
	}
}

func TestNodeNameFlag(t *testing.T) {
	for in, ok := range map[string]bool{"host-1.example": true, "Host": false, "a_b": false, "": false} {
		var v string
		if err := (nodeName{&v}).Set(in); (err == nil) != ok {
			t.Errorf("%q: %v, want accepted: %t", in, err, ok)
		}
	}
	if got, err := orHostName("given"); got != "given" || err != nil {
		t.Errorf("orHostName(given) = %q, %v", got, err)
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
