package validation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validEndpoints() *v1.Endpoints {
	return &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "external.service", Namespace: "default", ResourceVersion: "1"},
		Subsets: []v1.EndpointSubset{{
			Addresses:         []v1.EndpointAddress{{IP: "192.0.2.1"}},
			NotReadyAddresses: []v1.EndpointAddress{{IP: "2001:db8::1"}},
			Ports:             []v1.EndpointPort{{Name: "a", Port: 80}, {Name: "b", Port: 81}},
		}},
	}
}

func validateEndpoints(ep *v1.Endpoints) field.ErrorList { return ValidateEndpoints(ep, Options{}) }

func TestEndpoints(t *testing.T) {
	address := func(ip string) func(*v1.Endpoints) {
		return func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].IP = ip }
	}
	port := func(build func(*v1.EndpointPort)) func(*v1.Endpoints) {
		return func(ep *v1.Endpoints) { build(&ep.Subsets[0].Ports[1]) }
	}
	const ip = "subsets[0].addresses[0].ip"
	rules(t, validEndpoints, DefaultEndpoints, validateEndpoints, []rule[*v1.Endpoints]{
		{"valid", nil, ""},
		{"name", func(ep *v1.Endpoints) { ep.Name = "A" }, "Invalid metadata.name"},
		{"no subsets", func(ep *v1.Endpoints) { ep.Subsets = nil }, ""},
		{"no addresses", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses, ep.Subsets[0].NotReadyAddresses = nil, nil },
			"Required subsets[0]"},
		{"no ports", func(ep *v1.Endpoints) { ep.Subsets[0].Ports = nil }, ""},
		{"malformed", address("x"), "Invalid " + ip},
		{"empty", address(""), "Invalid " + ip},
		{"leading zeros", address("192.0.2.01"), "Invalid " + ip},
		{"IPv4 as IPv6", address("::ffff:192.0.2.1"), "Invalid " + ip},
		{"IPv6 spelled loosely", address("2001:DB8:0::1"), ""},
		{"unspecified", address("0.0.0.0"), "Invalid " + ip},
		{"unspecified IPv6", address("::"), "Invalid " + ip},
		{"loopback", address("127.0.0.1"), "Invalid " + ip},
		{"loopback IPv6", address("::1"), "Invalid " + ip},
		{"link-local", address("169.254.169.254"), "Invalid " + ip},
		{"link-local IPv6", address("fe80::1"), "Invalid " + ip},
		{"link-local multicast", address("224.0.0.5"), "Invalid " + ip},
		{"link-local multicast IPv6", address("ff02::1"), "Invalid " + ip},
		{"multicast further away", address("239.0.0.1"), ""},
		{"not ready, malformed", func(ep *v1.Endpoints) { ep.Subsets[0].NotReadyAddresses[0].IP = "x" },
			"Invalid subsets[0].notReadyAddresses[0].ip"},
		{"host name", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].Hostname = "a.b" },
			"Invalid subsets[0].addresses[0].hostname"},
		{"node name", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].NodeName = ptr("a.b") }, ""},
		{"empty node name", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].NodeName = ptr("") },
			"Invalid subsets[0].addresses[0].nodeName"},
		{"no port name", port(func(p *v1.EndpointPort) { p.Name = "" }), "Required subsets[0].ports[1].name"},
		{"port name", port(func(p *v1.EndpointPort) { p.Name = "A" }), "Invalid subsets[0].ports[1].name"},
		{"port name twice", port(func(p *v1.EndpointPort) { p.Name = "a" }), ""},
		{"port name too long", port(func(p *v1.EndpointPort) { p.Name = strings.Repeat("a", 64) }),
			"Invalid subsets[0].ports[1].name"},
		{"one port without a name", func(ep *v1.Endpoints) { ep.Subsets[0].Ports = []v1.EndpointPort{{Port: 80}} }, ""},
		{"port too large", port(func(p *v1.EndpointPort) { p.Port = 65536 }), "Invalid subsets[0].ports[1].port"},
		{"SCTP", port(func(p *v1.EndpointPort) { p.Protocol = "SCTP" }), ""},
		{"application protocol with a domain", port(func(p *v1.EndpointPort) { p.AppProtocol = ptr("kubernetes.io/h2c") }),
			""},
		{"application protocol, malformed", port(func(p *v1.EndpointPort) { p.AppProtocol = ptr("a b") }),
			"Invalid subsets[0].ports[1].appProtocol"},
		{"address twice", func(ep *v1.Endpoints) { ep.Subsets[0].NotReadyAddresses[0].IP = "192.0.2.1" }, ""},
		{"only what is not ready", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses = nil }, ""},
		{"target", func(ep *v1.Endpoints) {
			ep.Subsets[0].Addresses[0].TargetRef = &v1.ObjectReference{Kind: "anything", Name: "a b", Namespace: "C"}
		}, ""},
		{"host name that is one", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].Hostname = "web-0" }, ""},
		{"node name, malformed", func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].NodeName = ptr("A") },
			"Invalid subsets[0].addresses[0].nodeName"},
		{"finalizer without a domain", func(ep *v1.Endpoints) { ep.Finalizers = []string{"a"} },
			"Invalid metadata.finalizers[0]"},
		{"port 0", port(func(p *v1.EndpointPort) { p.Port = 0 }), "Invalid subsets[0].ports[1].port"},
		{"protocol", port(func(p *v1.EndpointPort) { p.Protocol = "x" }), "NotSupported subsets[0].ports[1].protocol"},
		{"application protocol", port(func(p *v1.EndpointPort) { p.AppProtocol = ptr("") }),
			"Invalid subsets[0].ports[1].appProtocol"},
	})
	bare := validEndpoints()
	expect(t, validateEndpoints(bare), "Required subsets[0].ports[0].protocol\nRequired subsets[0].ports[1].protocol")
	bad := validEndpoints()
	address("x")(bad)
	DefaultEndpoints(bad)
	if errs := validateEndpoints(bad); len(errs) != 2 {
		t.Errorf("a malformed address gives %d errors, want upstream's two", len(errs))
	}
}

func TestLoopbackMode(t *testing.T) {
	opts := Options{AllowLoopback: true}
	for ip, want := range map[string]string{"127.0.0.1": "", "127.255.0.3": "", "::1": "", "192.0.2.1": "",
		"0.0.0.0": "Invalid at", "169.254.0.1": "Invalid at", "fe80::1": "Invalid at"} {
		expect(t, endpointAddress(field.NewPath("at"), ip, opts), want)
	}
}

func TestEndpointsUpdate(t *testing.T) {
	validate := func(now, old *v1.Endpoints) field.ErrorList { return ValidateEndpointsUpdate(now, old, Options{}) }
	loopback := func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].IP = "127.0.0.1" }
	changes(t, validEndpoints, DefaultEndpoints, validate, []change[*v1.Endpoints]{
		{"node name", nil, func(ep *v1.Endpoints) { ep.Subsets[0].Addresses[0].NodeName = ptr("n") }, ""},
		{"namespace", nil, func(ep *v1.Endpoints) { ep.Namespace = "b" }, "Invalid metadata.namespace"},
		{"to what is refused", nil, loopback, "Invalid subsets[0].addresses[0].ip"},
		{"refused, but stored", loopback, func(ep *v1.Endpoints) { ep.Labels = map[string]string{"a": "b"} }, ""},
		{"refused, stored, and changed", loopback, func(ep *v1.Endpoints) { ep.Subsets[0].Ports[0].Port = 82 },
			"Invalid subsets[0].addresses[0].ip"},
	})
}

func TestEndpointsWarnings(t *testing.T) {
	ep := validEndpoints()
	ep.Subsets[0].Addresses[0].IP, ep.Subsets[0].NotReadyAddresses[0].IP = "192.0.2.01", "2001:db8:0::1"
	got := EndpointsWarnings(ep, nil)
	if len(got) != 2 || !strings.HasPrefix(got[0], "subsets[0].addresses[0].ip: ") || !strings.HasPrefix(got[1],
		"subsets[0].notReadyAddresses[0].ip: ") {
		t.Errorf("warnings %q", got)
	}
	ep.Labels = map[string]string{"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
	if got := EndpointsWarnings(ep, nil); got != nil {
		t.Errorf("warnings for the controller: %q", got)
	}
}

func validSlice() *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Namespace: "default", ResourceVersion: "1"},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("a"), Port: ptr[int32](80)}, {}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
	}
}

func TestEndpointSlice(t *testing.T) {
	type slice = discoveryv1.EndpointSlice
	of := func(kind discoveryv1.AddressType, addresses ...string) func(*slice) {
		return func(s *slice) { s.AddressType, s.Endpoints[0].Addresses = kind, addresses }
	}
	endpoint := func(build func(*discoveryv1.Endpoint)) func(*slice) {
		return func(s *slice) { build(&s.Endpoints[0]) }
	}
	zones := func(names ...string) func(*slice) {
		return endpoint(func(e *discoveryv1.Endpoint) {
			e.Hints = &discoveryv1.EndpointHints{}
			for _, name := range names {
				e.Hints.ForZones = append(e.Hints.ForZones, discoveryv1.ForZone{Name: name})
			}
		})
	}
	nodes := func(names ...string) func(*slice) {
		return endpoint(func(e *discoveryv1.Endpoint) {
			e.Hints = &discoveryv1.EndpointHints{}
			for _, name := range names {
				e.Hints.ForNodes = append(e.Hints.ForNodes, discoveryv1.ForNode{Name: name})
			}
		})
	}
	port := func(build func(*discoveryv1.EndpointPort)) func(*slice) {
		return func(s *slice) { build(&s.Ports[0]) }
	}
	nine := strings.Fields("a b c d e f g h i")
	const list = "endpoints[0].addresses"
	validate := func(s *slice) field.ErrorList { return ValidateEndpointSlice(s, Options{}) }
	rules(t, validSlice, DefaultEndpointSlice, validate, []rule[*slice]{
		{"valid", nil, ""},
		{"no address type", of("", "192.0.2.1"), "Required addressType"},
		{"unknown address type", of("x", "192.0.2.1"), "NotSupported addressType"},
		{"too many endpoints", func(s *slice) { s.Endpoints = make([]discoveryv1.Endpoint, 1001) }, "TooMany endpoints"},
		{"as many endpoints as there may be", func(s *slice) { s.Endpoints = slices.Repeat(s.Endpoints, 1000) }, ""},
		{"as many addresses as there may be", of("IPv4", slices.Repeat([]string{"192.0.2.1"}, 100)...), ""},
		{"name", func(s *slice) { s.Name = "A" }, "Invalid metadata.name"},
		{"no endpoints and no ports", func(s *slice) { s.Endpoints, s.Ports = nil, nil }, ""},
		{"unspecified", of("IPv4", "0.0.0.0"), "Invalid " + list + "[0]"},
		{"link-local", of("IPv4", "169.254.169.254"), "Invalid " + list + "[0]"},
		{"link-local multicast", of("IPv4", "224.0.0.1"), "Invalid " + list + "[0]"},
		{"IPv4 as IPv6", of("IPv4", "::ffff:192.0.2.1"), "Invalid " + list + "[0]"},
		{"IPv6, unspecified", of("IPv6", "::"), "Invalid " + list + "[0]"},
		{"IPv6, link-local", of("IPv6", "fe80::1"), "Invalid " + list + "[0]"},
		{"IPv6, link-local multicast", of("IPv6", "ff02::1"), "Invalid " + list + "[0]"},
		{"no addresses", of("IPv4"), "Required " + list},
		{"too many addresses", of("IPv4", slices.Repeat([]string{"192.0.2.1"}, 101)...), "TooMany " + list},
		{"malformed", of("IPv4", "x"), "Invalid " + list + "[0]"},
		{"leading zeros", of("IPv4", "192.0.2.01"), "Invalid " + list + "[0]"},
		{"another family", of("IPv4", "2001:db8::1"), "Invalid " + list},
		{"loopback", of("IPv4", "127.0.0.1"), "Invalid " + list + "[0]"},
		{"IPv6", of("IPv6", "2001:db8::1"), ""},
		{"IPv6 spelled loosely", of("IPv6", "2001:db8:0::1"), "Invalid " + list + "[0]"},
		{"IPv6, another family", of("IPv6", "192.0.2.1"), "Invalid " + list},
		{"IPv6, loopback", of("IPv6", "::1"), "Invalid " + list + "[0]"},
		{"domain name", of("FQDN", "db.example"), ""},
		{"domain name without a dot", of("FQDN", "db"), "Invalid " + list + "[0]"},
		{"node name", endpoint(func(e *discoveryv1.Endpoint) { e.NodeName = ptr("") }), "Invalid endpoints[0].nodeName"},
		{"host name", endpoint(func(e *discoveryv1.Endpoint) { e.Hostname = ptr("a.b") }), "Invalid endpoints[0].hostname"},
		{"topology", endpoint(func(e *discoveryv1.Endpoint) { e.DeprecatedTopology = map[string]string{"a b": ""} }),
			"Invalid endpoints[0].deprecatedTopology"},
		{"too much topology", endpoint(func(e *discoveryv1.Endpoint) {
			e.DeprecatedTopology = map[string]string{}
			for i := range 17 {
				e.DeprecatedTopology[fmt.Sprint(i)] = ""
			}
		}), "TooMany endpoints[0].deprecatedTopology"},
		{"zones", zones("a", "b"), ""},
		{"zone twice", zones("a", "a"), "Duplicate endpoints[0].hints.forZones[1].name"},
		{"zone, malformed", zones("a b"), "Invalid endpoints[0].hints.forZones[0].name"},
		{"as many zones as there may be", zones(nine[:8]...), ""},
		{"nodes", nodes("a.b", "c"), ""},
		{"node and host", endpoint(func(e *discoveryv1.Endpoint) { e.NodeName, e.Hostname = ptr("a.b"), ptr("web-0") }), ""},
		{"conditions", endpoint(func(e *discoveryv1.Endpoint) {
			e.Conditions.Ready, e.Conditions.Serving, e.Conditions.Terminating = ptr(true), ptr(false), ptr(true)
		}), ""},
		{"too many zones", zones(nine...), "TooMany endpoints[0].hints.forZones"},
		{"node twice", nodes("a", "a"), "Duplicate endpoints[0].hints.forNodes[1].name"},
		{"node, malformed", nodes("a b"), "Invalid endpoints[0].hints.forNodes[0].name"},
		{"too many nodes", nodes(nine...), "TooMany endpoints[0].hints.forNodes"},
		{"too many ports", func(s *slice) { s.Ports = make([]discoveryv1.EndpointPort, 20001) }, "TooMany ports"},
		{"port name", port(func(p *discoveryv1.EndpointPort) { p.Name = ptr("A") }), "Invalid ports[0].name"},
		{"port name twice", port(func(p *discoveryv1.EndpointPort) { p.Name = ptr("") }), "Duplicate ports[1].name"},
		{"protocol", port(func(p *discoveryv1.EndpointPort) { p.Protocol = ptr(v1.Protocol("x")) }),
			"NotSupported ports[0].protocol"},
		{"no protocol", port(func(p *discoveryv1.EndpointPort) { p.Protocol = ptr(v1.Protocol("")) }),
			"Required ports[0].protocol"},
		{"application protocol", port(func(p *discoveryv1.EndpointPort) { p.AppProtocol = ptr("a b") }),
			"Invalid ports[0].appProtocol"},
		{"SCTP", port(func(p *discoveryv1.EndpointPort) { p.Protocol = ptr(v1.ProtocolSCTP) }), ""},
		{"no port number", port(func(p *discoveryv1.EndpointPort) { p.Port = nil }), ""},
		{"port number is the consumer's", port(func(p *discoveryv1.EndpointPort) { p.Port = ptr[int32](-1) }), ""},
	})
	update := func(now, old *slice) field.ErrorList { return ValidateEndpointSliceUpdate(now, old, Options{}) }
	changes(t, validSlice, DefaultEndpointSlice, update, []change[*slice]{
		{"endpoints", nil, of("IPv4", "192.0.2.2"), ""},
		{"address type", nil, of("IPv6", "2001:db8::1"), "Invalid addressType"},
		{"to what is refused", nil, of("IPv4", "127.0.0.1"), "Invalid " + list + "[0]"},
		{"refused, but stored", of("IPv4", "127.0.0.1"), func(s *slice) { s.Labels = map[string]string{"a": "b"} }, ""},
		{"ports", nil, port(func(p *discoveryv1.EndpointPort) { p.Name = ptr("A") }), "Invalid ports[0].name"},
	})
}

func TestEndpointSliceWarnings(t *testing.T) {
	slice := validSlice()
	slice.Endpoints[0].Addresses[0] = "192.0.2.01"
	if got := EndpointSliceWarnings(slice, nil); len(got) != 1 || !strings.HasPrefix(got[0],
		"endpoints[0].addresses[0]: ") {
		t.Errorf("warnings %q", got)
	}
	for _, controller := range []string{"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"} {
		slice.Labels = map[string]string{discoveryv1.LabelManagedBy: controller}
		if got := EndpointSliceWarnings(slice, nil); got != nil {
			t.Errorf("warnings for %s: %q", controller, got)
		}
	}
	slice.AddressType = discoveryv1.AddressTypeFQDN
	if got := EndpointSliceWarnings(slice, nil); len(got) != 1 {
		t.Errorf("warnings for FQDN: %q", got)
	}
	if got := EndpointSliceWarnings(slice, slice); got != nil {
		t.Errorf("warnings for FQDN on an update: %q", got)
	}
}
