package addressrange

import (
	"net/netip"
	"strings"
	"testing"
)

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
		err := Check(Services(prefixes(t, c.service), Here), Pods(prefixes(t, c.pod), Here))
		if (err == nil) != (c.why == "") || (err != nil && !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s, %s: got %v, want %q", c.service, c.pod, err, c.why)
		}
	}
}

// A range that this process does not serve may be anywhere.
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
		err := Check(Services(prefixes(t, c.service), Elsewhere), Pods(prefixes(t, c.pod),
			Elsewhere))
		if (err == nil) != (c.why == "") || (err != nil && !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s, %s: got %v, want %q", c.service, c.pod, err, c.why)
		}
	}
}

// prefixes parses a comma-separated list.
func prefixes(t *testing.T, text string) (list []netip.Prefix) {
	t.Helper()
	for _, one := range strings.Split(text, ",") {
		p, err := netip.ParsePrefix(one)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}
