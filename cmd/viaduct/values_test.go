package main

import (
	"net/netip"
	"strings"
	"testing"

	"viaduct/internal/apiserver/allocation"
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

func TestCheckRanges(t *testing.T) {
	for _, c := range []struct{ service, pod, why string }{
		{"127.96.0.0/16", "127.128.0.0/16", ""},
		{"127.16.0.0/20", "127.16.16.0/20", ""},
		{"127.96.0.0/16", "127.96.128.0/20", "overlap"},
		{"10.96.0.0/16", "127.128.0.0/16", "--service-cidr 10.96.0.0/16 is not inside"},
		{"10.96.0.0/16", "10.244.0.0/16", ""},
		{"10.96.0.0/16,fd00:96::/112", "10.244.0.0/16,fd00::/64", ""},
		{"126.0.0.0/7", "127.128.0.0/16", "is not inside"},
		{"127.96.0.0/16", "fd00::/64", "--pod-cidr fd00::/64 is not inside"},
		{"127.96.0.0/29", "127.128.0.0/16", "too small"},
		{"127.0.0.0/16", "127.128.0.0/16", "contains 127.0.0.1"},
		{"127.96.0.0/16,fd00::/64", "127.128.0.0/16", "--service-cidr fd00::/64 is not inside 127.0.0.0/8"},
	} {
		err := checkRanges(serviceRanges(prefixes(t, c.service), servedHere), podRanges(prefixes(t, c.pod), servedHere))
		if (err == nil) != (c.why == "") || (err != nil && !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s, %s: got %v, want %q", c.service, c.pod, err, c.why)
		}
	}
}

// What this process does not serve may be anywhere.
func TestCheckRangesServedElsewhere(t *testing.T) {
	for _, c := range []struct{ service, pod, why string }{
		{"10.96.0.0/16", "10.244.0.0/16", ""},
		{"127.96.0.0/16", "127.128.0.0/16", ""},
		{"10.96.0.0/16", "10.96.1.0/24", "overlap"},
		{"fd00::/108", "10.244.0.0/16", ""},
		{"10.96.0.0/16,fd00::/64", "10.244.0.0/16", ""},
		{"fd00::/64,10.96.0.0/16", "10.96.128.0/24", "overlap"},
		{"10.96.0.0/16", "10.244.0.0/16,fd00::/64", ""},
		{"10.96.0.0/16,fd00::/48", "10.244.0.0/16", "too large"},
		{"10.96.0.0/16,fd00::/125", "10.244.0.0/16", "too small"},
		{"::/64", "10.244.0.0/16", "contains ::1"},
		{"10.96.0.0/29", "10.244.0.0/16", "too small"},
	} {
		err := checkRanges(serviceRanges(prefixes(t, c.service), servedElsewhere), podRanges(prefixes(t, c.pod),
			servedElsewhere))
		if (err == nil) != (c.why == "") || (err != nil && !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s, %s: got %v, want %q", c.service, c.pod, err, c.why)
		}
	}
}

func prefixes(t *testing.T, text string) []netip.Prefix {
	t.Helper()
	var list []netip.Prefix
	if err := (cidrs{&list}).Set(text); err != nil {
		t.Fatal(err)
	}
	return list
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

func TestDefaultDataDir(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{nil, 0, "/var/lib/viaduct"},
		{map[string]string{"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/viaduct"},
		{map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, 1000, "/data/viaduct"},
		{map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "relative"}, 1000, "/home/ada/.local/share/viaduct"},
		{map[string]string{dataDirEnv: "/mine"}, 0, "/mine"},
	} {
		if got := defaultDataDir(func(k string) string { return c.env[k] }, c.uid); got != c.want {
			t.Errorf("%v uid %d: got %s, want %s", c.env, c.uid, got, c.want)
		}
	}
}
