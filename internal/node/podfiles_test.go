package node

import (
	"net/netip"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHostsFile(t *testing.T) {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db-0", Namespace: "shop"}, Spec: v1.PodSpec{
		Subdomain: "db", HostAliases: []v1.HostAlias{{IP: "192.0.2.7", Hostnames: []string{"old", "old.example"}}},
	}}
	want := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"10.244.0.7\tdb-0.db.shop.svc.cluster.local\tdb-0\n" +
		"fd00::7\tdb-0.db.shop.svc.cluster.local\tdb-0\n192.0.2.7\told\told.example\n"
	if got := hostsFile(pod, []netip.Addr{netip.MustParseAddr("10.244.0.7"),
		netip.MustParseAddr("fd00::7")}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestResolvConf(t *testing.T) {
	five := "5"
	config := &v1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}, Searches: []string{"svc"},
		Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: &five}, {Name: "edns0"}}}
	for _, c := range []struct {
		name, host, want string
		spec             v1.PodSpec
	}{
		{"the host's", "# by hand\nnameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n",
			"nameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n", v1.PodSpec{}},
		{"what only the host reaches is left out", "nameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.2\n",
			"nameserver 192.0.2.2\n", v1.PodSpec{}},
		{"added to", "nameserver 192.0.2.1\noptions ndots:2 rotate\n", "nameserver 192.0.2.1\nnameserver " +
			"192.0.2.53\nsearch svc\noptions rotate ndots:5 edns0\n", v1.PodSpec{DNSConfig: config}},
		{"none but its own", "nameserver 192.0.2.1\n", "nameserver 192.0.2.53\nsearch svc\noptions ndots:5 edns0\n",
			v1.PodSpec{DNSPolicy: v1.DNSNone, DNSConfig: config}},
	} {
		if got := resolvConf(&v1.Pod{Spec: c.spec}, c.host); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
