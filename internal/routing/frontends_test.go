package routing

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

func TestWhoServesAClusterIP(t *testing.T) {
	local := func(s *v1.Service) { s.Spec.InternalTrafficPolicy = ptr(v1.ServiceInternalTrafficPolicyLocal) }
	for _, c := range []struct {
		name string
		svc  *v1.Service
		eps  []discovery.Endpoint
		want []string
		why  Reason
		then Action
	}{
		{"nobody", service(), nil, nil, None, Reject},
		{"conditions that say nothing mean ready", service(), []discovery.Endpoint{ep("10.1.0.1", "")},
			[]string{"10.1.0.1:8080"}, All, Reject},
		{"sorted, ready ones only", service(), []discovery.Endpoint{ep("10.1.0.10", "rs"), ep("10.1.0.9", "rs"),
			ep("10.1.0.8", "s")},
			[]string{"10.1.0.9:8080", "10.1.0.10:8080"}, All, Reject},
		{"ready although terminating (publishNotReadyAddresses)", service(), []discovery.Endpoint{ep("10.1.0.1", "rst")},
			[]string{"10.1.0.1:8080"}, All, Reject},
		{"terminating ones only when none is ready", service(), []discovery.Endpoint{ep("10.1.0.1", "st"),
			ep("10.1.0.2", "rs")}, []string{"10.1.0.2:8080"}, All, Reject},
		{"the last that still serve", service(), []discovery.Endpoint{ep("10.1.0.1", "st"), ep("10.1.0.2", "t"),
			ep("10.1.0.3", "s")}, []string{"10.1.0.1:8080"}, OnlyTerminating, Reject},
		{"none ready", service(), []discovery.Endpoint{ep("10.1.0.1", "s"), ep("10.1.0.2", "t")}, nil, NoneReady, Reject},
		{"local policy", service(local), []discovery.Endpoint{ep("10.1.0.1", "rs"), ep("10.1.0.2", "rsl")},
			[]string{"10.1.0.2:8080"}, LocalOnly, Drop},
		{"local policy, last resort here", service(local), []discovery.Endpoint{ep("10.1.0.1", "rs"), ep("10.1.0.2", "stl")},
			[]string{"10.1.0.2:8080"}, LocalTerminating, Drop},
		{"local policy, all elsewhere", service(local), []discovery.Endpoint{ep("10.1.0.1", "rs")}, nil, NoneLocal, Drop},
		{"local policy, a terminating one elsewhere", service(local), []discovery.Endpoint{ep("10.1.0.1", "st")}, nil,
			NoneLocal, Drop},
		{"local policy, none anywhere", service(local), []discovery.Endpoint{ep("10.1.0.1", "s")}, nil, NoneReady, Reject},
		{"hints for the node before hints for the zone", service(),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rs"), "here", "z1"), hint(ep("10.1.0.2", "rs"), "other", "z1")},
			[]string{"10.1.0.1:8080"}, SameNode, Reject},
		{"hints for the zone", service(),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rs"), "", "z1"), hint(ep("10.1.0.2", "rs"), "", "z2")},
			[]string{"10.1.0.1:8080"}, SameZone, Reject},
		{"one without hints", service(),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rs"), "here", "z1"), ep("10.1.0.2", "rs")}, []string{"10.1.0.1:8080",
				"10.1.0.2:8080"}, All, Reject},
		{"hints that leave nobody", service(),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rs"), "other", "z2")}, []string{"10.1.0.1:8080"}, All, Reject},
		{"hints of the not ready do not count", service(),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rs"), "", "z1"), hint(ep("10.1.0.2", "rs"), "", "z2"),
				ep("10.1.0.3", "s")}, []string{"10.1.0.1:8080"}, SameZone, Reject},
		{"topology never applies to the local list", service(local),
			[]discovery.Endpoint{hint(ep("10.1.0.1", "rsl"), "other", "z2"), hint(ep("10.1.0.2", "rs"), "here", "z1")},
			[]string{"10.1.0.1:8080"}, LocalOnly, Drop},
		{"addresses that are none", service(), []discovery.Endpoint{ep("nonsense", "rs"), ep("2001:db8::1", "rs"),
			ep("fe80::1%eth0", "rs"), {}}, nil, None, Reject},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Frontends(here, c.svc, []*discovery.EndpointSlice{slice(c.eps...)})
			if len(got) != 1 {
				t.Fatalf("%d frontends, want 1: %v", len(got), got)
			}
			in := got[0].Inside
			if d := cmp.Diff(append([]string{}, c.want...), addrs(in)); d != "" {
				t.Error(d)
			}
			if in.Why != c.why || in.Empty != c.then || in.SNAT {
				t.Errorf("got %s, %s, SNAT %v; want %s, %s", in.Why, in.Empty, in.SNAT, c.why, c.then)
			}
			if d := cmp.Diff(addrs(in), addrs(got[0].Outside)); d != "" {
				t.Error("from outside a cluster IP has another pool:", d)
			}
		})
	}
}

func TestOneAddressTwice(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b discovery.Endpoint
		want int // backends
		why  Reason
	}{
		{"not terminating wins", ep("10.1.0.1", "st"), ep("10.1.0.1", "rs"), 1, All},
		{"not terminating wins though not ready", ep("10.1.0.1", "st"), ep("10.1.0.1", "s"), 0, NoneReady},
		{"ready wins", ep("10.1.0.1", "rs"), ep("10.1.0.1", "s"), 1, All},
		{"the same", ep("10.1.0.1", "rs"), ep("10.1.0.1", "rs"), 1, All},
		{"4-in-6 is IPv4", ep("::ffff:10.1.0.1", "rs"), ep("10.1.0.1", "rs"), 1, All},
	} {
		for _, order := range [][]*discovery.EndpointSlice{{slice(c.a), slice(c.b)}, {slice(c.b), slice(c.a)},
			{slice(c.a, c.b)}} {
			in := Frontends(here, service(), order)[0].Inside
			if len(in.Backends) != c.want || in.Why != c.why {
				t.Errorf("%s: %v, %s", c.name, in.Backends, in.Why)
			}
		}
	}
}

func TestPortsJoinByNameAndProtocol(t *testing.T) {
	svc := service(func(s *v1.Service) {
		s.Spec.Ports = []v1.ServicePort{
			{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: v1.ProtocolTCP},
			{Name: "odd", Port: 9, Protocol: "QUIC"},
		}
	})
	s := slice(ep("10.1.0.1", "rs"))
	s.Ports = []discovery.EndpointPort{
		{Name: ptr("dns"), Port: ptr(int32(5353)), Protocol: ptr(v1.ProtocolUDP)},
		{Name: ptr("dns"), Port: ptr(int32(1)), Protocol: ptr(v1.ProtocolTCP)},
		{Name: ptr("dns-tcp"), Port: ptr(int32(5354))},
		{Name: nil, Port: ptr(int32(2))}, {Name: ptr("dns-tcp"), Port: nil}, {Name: ptr("dns-tcp"), Port: ptr(int32(0))},
		{Name: ptr("dns-tcp"), Port: ptr(int32(70000))},
	}
	got := map[string][]string{}
	for _, f := range Frontends(here, svc, []*discovery.EndpointSlice{s}) {
		got[f.Service.Port+" "+f.Key.String()] = addrs(f.Inside)
	}
	want := map[string][]string{
		"dns ClusterIP 10.0.0.1:53/UDP":     {"10.1.0.1:5353"},
		"dns-tcp ClusterIP 10.0.0.1:53/TCP": {"10.1.0.1:5354"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEveryPlaceOfAService(t *testing.T) {
	svc := service(func(s *v1.Service) {
		s.Spec.Type = v1.ServiceTypeLoadBalancer
		s.Spec.ClusterIPs = []string{"10.0.0.1", "2001:db8::10"}
		s.Spec.ExternalIPs = []string{"198.51.100.1", "203.0.113.7"}
		s.Spec.ExternalTrafficPolicy = v1.ServiceExternalTrafficPolicyLocal
		s.Spec.Ports[0].NodePort = 30080
		s.Spec.LoadBalancerSourceRanges = []string{" 192.0.2.0/24 ", "2001:db8::/32", "bad"}
		s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{
			{IP: "203.0.113.7"}, {IP: "203.0.113.8"}, {IP: "203.0.113.9", IPMode: ptr(v1.LoadBalancerIPModeProxy)},
			{Hostname: "lb.example"},
		}
	})
	six := slice(ep("2001:db8:1::1", "rsl"))
	six.AddressType = discovery.AddressTypeIPv6
	got := map[string]string{}
	for _, f := range Frontends(here, svc, []*discovery.EndpointSlice{slice(ep("10.1.0.1", "rs")), six}) {
		got[f.Key.String()] = string(f.Inside.Why) + " " + string(f.Outside.Why)
		if outsideSNAT := f.Kind == ClusterIP; f.Outside.SNAT != outsideSNAT {
			t.Errorf("%s: SNAT of outside is %v", f.Key, f.Outside.SNAT)
		}
		allow := f.Kind == LoadBalancer
		if (len(f.Allow) > 0) != allow {
			t.Errorf("%s: allows %v", f.Key, f.Allow)
		}
	}
	want := map[string]string{
		"ClusterIP 10.0.0.1:80/TCP":       "All All",
		"ClusterIP [2001:db8::10]:80/TCP": "All All",
		"ExternalIP 198.51.100.1:80/TCP":  "All NoneLocal",
		"ExternalIP 203.0.113.7:80/TCP":   "All NoneLocal", // and not a LoadBalancer frontend of the same address
		"LoadBalancer 203.0.113.8:80/TCP": "All NoneLocal",
		"NodePort 127.0.0.1:30080/TCP":    "All NoneLocal",
		"NodePort [::1]:30080/TCP":        "All LocalOnly",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestServicesThatAreNotServed(t *testing.T) {
	for name, edit := range map[string]func(*v1.Service){
		"headless":        func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"} },
		"not allocated":   func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil },
		"external name":   func(s *v1.Service) { s.Spec.Type = v1.ServiceTypeExternalName },
		"no ports":        func(s *v1.Service) { s.Spec.Ports = nil },
		"unreadable":      func(s *v1.Service) { s.Spec.ClusterIPs = []string{"10.0.0.256"} },
		"impossible port": func(s *v1.Service) { s.Spec.Ports[0].Port = 65536 },
	} {
		if got := Frontends(here, service(edit), nil); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	old := service(func(s *v1.Service) { s.Spec.ClusterIPs = nil })
	if got := Frontends(here, old, nil); len(got) != 1 {
		t.Errorf("clusterIP without clusterIPs: %v", got)
	}
}

func TestAffinity(t *testing.T) {
	seconds := func(n *int32) func(*v1.Service) {
		return func(s *v1.Service) {
			s.Spec.SessionAffinity = v1.ServiceAffinityClientIP
			s.Spec.SessionAffinityConfig = &v1.SessionAffinityConfig{ClientIP: &v1.ClientIPConfig{TimeoutSeconds: n}}
		}
	}
	for _, c := range []struct {
		svc  *v1.Service
		want time.Duration
	}{
		{service(), 0},
		{service(seconds(ptr(int32(30)))), 30 * time.Second},
		{service(seconds(nil)), 3 * time.Hour},
		{service(func(s *v1.Service) { s.Spec.SessionAffinity = v1.ServiceAffinityClientIP }), 3 * time.Hour},
	} {
		if got := Frontends(here, c.svc, nil)[0].Affinity; got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestSourceRanges(t *testing.T) {
	vip := netip.MustParseAddr("203.0.113.8")
	for _, c := range []struct {
		ranges []string
		want   []string
	}{
		{nil, nil},
		{[]string{"198.51.100.7/24"}, []string{"198.51.100.0/24"}},
		{[]string{"198.51.100.0/24", "0.0.0.0/0"}, nil},
		{[]string{"198.51.100.0/24", "::/0"}, []string{"198.51.100.0/24"}},
		{[]string{"2001:db8::/32"}, nil},
		{[]string{"192.0.2.0/24", "192.0.2.0/24"}, []string{"192.0.2.0/24", "203.0.113.8/32"}},
	} {
		var got []string
		for _, p := range allow(here, vip, c.ranges) {
			got = append(got, p.String())
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v: %s", c.ranges, d)
		}
	}
}

func TestEveryReasonHasASentence(t *testing.T) {
	for _, r := range Reasons() {
		if r.Sentence() == "" {
			t.Errorf("%s has none", r)
		}
	}
	if Reason("Moon").Sentence() != "" {
		t.Error("a reason outside the list has a sentence")
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Name{"a", "b", ""}.String(): "a/b", Name{"a", "b", "c"}.String(): "a/b:c",
		UDP.String(): "UDP", Proto(9).String(): "unknown(9)", Kind(0).String(): "unknown(0)", Drop.String(): "Drop",
		Random.String(): "random",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
