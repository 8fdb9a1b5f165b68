package validation

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validService is a Service as it is after allocation, with two ports.
func validService() *v1.Service {
	single := v1.IPFamilyPolicySingleStack
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", ResourceVersion: "1"},
		Spec: v1.ServiceSpec{
			Selector:  map[string]string{"app": "web"},
			ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
			IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, IPFamilyPolicy: &single,
			Ports: []v1.ServicePort{{Name: "http", Port: 80}, {Name: "dns", Port: 53, Protocol: v1.ProtocolUDP}},
		},
	}
}

func headlessService(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"} }

func dualStack(s *v1.Service) {
	s.Spec.ClusterIPs = []string{"10.96.0.10", "fd00::10"}
	s.Spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}
	s.Spec.IPFamilyPolicy = ptr(v1.IPFamilyPolicyRequireDualStack)
}

func externalNameService(s *v1.Service) {
	s.Spec = v1.ServiceSpec{Type: v1.ServiceTypeExternalName, ExternalName: "db.example."}
}

func nodePortService(s *v1.Service) { s.Spec.Type = v1.ServiceTypeNodePort }

func balanced(s *v1.Service) { s.Spec.Type = v1.ServiceTypeLoadBalancer }

// localBalanced needs a health check port, and has one.
func localBalanced(s *v1.Service) {
	balanced(s)
	s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = v1.ServiceExternalTrafficPolicyLocal, 30100
}

func validateService(s *v1.Service) field.ErrorList { return ValidateService(s) }

func TestServiceShape(t *testing.T) {
	rules(t, validService, DefaultService, validateService, []rule[*v1.Service]{
		{"valid", nil, ""},
		{"name may begin with a digit", func(s *v1.Service) { s.Name = "0web" }, ""},
		{"name with a dot", func(s *v1.Service) { s.Name = "a.b" }, "Invalid metadata.name"},
		{"no name", func(s *v1.Service) { s.Name = "" }, "Required metadata.name"},
		{"no namespace", func(s *v1.Service) { s.Namespace = "" }, "Required metadata.namespace"},
		{"annotations that differ", func(s *v1.Service) {
			s.Annotations = map[string]string{v1.DeprecatedAnnotationTopologyAwareHints: "Auto",
				v1.AnnotationTopologyMode: "Disabled"}
		}, "Invalid metadata.annotations[service.kubernetes.io/topology-mode]"},
		{"annotations that agree", func(s *v1.Service) {
			s.Annotations = map[string]string{v1.DeprecatedAnnotationTopologyAwareHints: "Auto",
				v1.AnnotationTopologyMode: "Auto"}
		}, ""},
		{"unknown type", func(s *v1.Service) { s.Spec.Type = "Other" }, "NotSupported spec.type"},
		{"headless node port", func(s *v1.Service) { headlessService(s); nodePortService(s) }, "Invalid spec.clusterIPs[0]"},
		{"headless load balancer", func(s *v1.Service) { headlessService(s); balanced(s) }, "Invalid spec.clusterIPs[0]"},
		{"selector key", func(s *v1.Service) { s.Spec.Selector = map[string]string{"-": "x"} }, "Invalid spec.selector"},
		{"selector value", func(s *v1.Service) { s.Spec.Selector = map[string]string{"a": "-"} }, "Invalid spec.selector"},
		{"external name", externalNameService, ""},
		{"external name, none", func(s *v1.Service) { externalNameService(s); s.Spec.ExternalName = "" },
			"Required spec.externalName"},
		{"external name, malformed", func(s *v1.Service) { externalNameService(s); s.Spec.ExternalName = "a b" },
			"Invalid spec.externalName"},
		{"external name with addresses", func(s *v1.Service) {
			s.Spec.Type, s.Spec.ExternalName = v1.ServiceTypeExternalName,
				"db"
		},
			"Forbidden spec.clusterIPs\nForbidden spec.ipFamilies\nForbidden spec.ipFamilyPolicy"},
		{"traffic distribution", func(s *v1.Service) { s.Spec.TrafficDistribution = ptr("PreferSameNode") }, ""},
		{"traffic distribution of old", func(s *v1.Service) { s.Spec.TrafficDistribution = ptr("PreferClose") }, ""},
		{"traffic distribution by zone", func(s *v1.Service) { s.Spec.TrafficDistribution = ptr("PreferSameZone") }, ""},
		{"unknown traffic distribution", func(s *v1.Service) { s.Spec.TrafficDistribution = ptr("") },
			"NotSupported spec.trafficDistribution"},
		{"unknown internal policy",
			func(s *v1.Service) { s.Spec.InternalTrafficPolicy = ptr(v1.ServiceInternalTrafficPolicy("x")) },
			"NotSupported spec.internalTrafficPolicy"},
		{"internal policy Local",
			func(s *v1.Service) { s.Spec.InternalTrafficPolicy = ptr(v1.ServiceInternalTrafficPolicyLocal) }, ""},
		{"unknown internal policy of an external name", func(s *v1.Service) {
			externalNameService(s)
			s.Spec.InternalTrafficPolicy = ptr(v1.ServiceInternalTrafficPolicy("x"))
		}, "NotSupported spec.internalTrafficPolicy"},
		{"not checked: the load balancer's address, and whether unready endpoints are told of", func(s *v1.Service) {
			s.Spec.LoadBalancerIP, s.Spec.PublishNotReadyAddresses = "x", true
		}, ""},
		{"external name with ports", func(s *v1.Service) {
			externalNameService(s)
			s.Spec.Ports = []v1.ServicePort{{Port: 80}}
		}, ""},
		{"external name with a bad port", func(s *v1.Service) {
			externalNameService(s)
			s.Spec.Ports = []v1.ServicePort{{Port: 65536, TargetPort: intstr.FromInt32(1)}}
		}, "Invalid spec.ports[0].port"},
	})
	bare := validService()
	bare.Spec = v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80}}}
	expect(t, validateService(bare), `Required spec.type
		Required spec.sessionAffinity
		Required spec.ports[0].protocol
		Invalid spec.ports[0].targetPort`)
	bare.Spec.Type = v1.ServiceTypeClusterIP
	expect(t, internalTrafficPolicy(bare, field.NewPath("spec", "internalTrafficPolicy")),
		"Required spec.internalTrafficPolicy")
}

func TestServicePorts(t *testing.T) {
	port := func(build func(*v1.ServicePort)) func(*v1.Service) {
		return func(s *v1.Service) { build(&s.Spec.Ports[0]) }
	}
	rules(t, validService, DefaultService, validateService, []rule[*v1.Service]{
		{"none", func(s *v1.Service) { s.Spec.Ports = nil }, "Required spec.ports"},
		{"none, headless", func(s *v1.Service) { s.Spec.Ports = nil; headlessService(s) }, ""},
		{"no name", port(func(p *v1.ServicePort) { p.Name = "" }), "Required spec.ports[0].name"},
		{"no name, alone", func(s *v1.Service) { s.Spec.Ports = s.Spec.Ports[:1]; s.Spec.Ports[0].Name = "" }, ""},
		{"name with capitals", port(func(p *v1.ServicePort) { p.Name = "HTTP" }), "Invalid spec.ports[0].name"},
		{"name twice", port(func(p *v1.ServicePort) { p.Name = "dns" }), "Duplicate spec.ports[1].name"},
		{"number 0", port(func(p *v1.ServicePort) { p.Port = 0; p.TargetPort = intstr.FromInt32(80) }),
			"Invalid spec.ports[0].port"},
		{"number too large", port(func(p *v1.ServicePort) { p.Port = 65536; p.TargetPort = intstr.FromInt32(80) }),
			"Invalid spec.ports[0].port"},
		{"protocol", port(func(p *v1.ServicePort) { p.Protocol = "tcp" }), "NotSupported spec.ports[0].protocol"},
		{"SCTP", port(func(p *v1.ServicePort) { p.Protocol = "SCTP" }), ""},
		{"the last number", port(func(p *v1.ServicePort) { p.Port = 65535 }), ""},
		{"name too long", port(func(p *v1.ServicePort) { p.Name = strings.Repeat("a", 64) }), "Invalid spec.ports[0].name"},
		{"target too large", port(func(p *v1.ServicePort) { p.TargetPort = intstr.FromInt32(65536) }),
			"Invalid spec.ports[0].targetPort"},
		{"target by name", port(func(p *v1.ServicePort) { p.TargetPort = intstr.FromString("web-1") }), ""},
		{"target with a long name", port(func(p *v1.ServicePort) { p.TargetPort = intstr.FromString("a-name-too-long-1") }),
			"Invalid spec.ports[0].targetPort"},
		{"target without a letter", port(func(p *v1.ServicePort) { p.TargetPort = intstr.FromString("80") }),
			"Invalid spec.ports[0].targetPort"},
		{"target with hyphens", port(func(p *v1.ServicePort) { p.TargetPort = intstr.FromString("-a--b-") }),
			"Invalid spec.ports[0].targetPort"},
		{"application protocol", port(func(p *v1.ServicePort) { p.AppProtocol = ptr("kubernetes.io/h2c") }), ""},
		{"application protocol, malformed", port(func(p *v1.ServicePort) { p.AppProtocol = ptr("a b") }),
			"Invalid spec.ports[0].appProtocol"},
		{"same port twice", func(s *v1.Service) { s.Spec.Ports[1] = v1.ServicePort{Name: "b", Port: 80} },
			"Duplicate spec.ports[1]"},
		{"same port, other protocol", func(s *v1.Service) { s.Spec.Ports[1].Port = 80 }, ""},
		{"node port twice", func(s *v1.Service) {
			nodePortService(s)
			s.Spec.Ports[1] = v1.ServicePort{Name: "b", Port: 81, NodePort: 30001}
			s.Spec.Ports[0].NodePort = 30001
		}, "Duplicate spec.ports[1].nodePort"},
		{"node port twice, other protocol", func(s *v1.Service) {
			nodePortService(s)
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 30001, 30001
		}, ""},
		{"node port of a cluster IP", port(func(p *v1.ServicePort) { p.NodePort = 30001 }),
			"Forbidden spec.ports[0].nodePort"},
	})
}

func TestServiceAffinity(t *testing.T) {
	seconds := func(n *int32) func(*v1.Service) {
		return func(s *v1.Service) {
			s.Spec.SessionAffinity = v1.ServiceAffinityClientIP
			s.Spec.SessionAffinityConfig = &v1.SessionAffinityConfig{ClientIP: &v1.ClientIPConfig{TimeoutSeconds: n}}
		}
	}
	const timeout = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
	rules(t, validService, DefaultService, validateService, []rule[*v1.Service]{
		{"unknown", func(s *v1.Service) { s.Spec.SessionAffinity = "Cookie" }, "NotSupported spec.sessionAffinity"},
		{"client IP", func(s *v1.Service) { s.Spec.SessionAffinity = v1.ServiceAffinityClientIP }, ""},
		{"a day", seconds(ptr[int32](86400)), ""},
		{"longer", seconds(ptr[int32](86401)), "Invalid " + timeout},
		{"no time", seconds(ptr[int32](0)), "Invalid " + timeout},
	})
	path := field.NewPath("spec")
	none := &v1.ServiceSpec{SessionAffinity: v1.ServiceAffinityNone, SessionAffinityConfig: &v1.SessionAffinityConfig{}}
	expect(t, sessionAffinity(none, path), "Forbidden spec.sessionAffinityConfig")
	sticky := &v1.ServiceSpec{SessionAffinity: v1.ServiceAffinityClientIP}
	expect(t, sessionAffinity(sticky, path), "Required spec.sessionAffinityConfig")
	sticky.SessionAffinityConfig = &v1.SessionAffinityConfig{}
	expect(t, sessionAffinity(sticky, path), "Required spec.sessionAffinityConfig.clientIP")
	sticky.SessionAffinityConfig.ClientIP = &v1.ClientIPConfig{}
	expect(t, sessionAffinity(sticky, path), "Required "+timeout)
}

func TestServiceAddresses(t *testing.T) {
	ips := func(first string, all ...string) func(*v1.Service) {
		return func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies = first, all, nil }
	}
	external := func(list ...string) func(*v1.Service) {
		return func(s *v1.Service) { s.Spec.ExternalIPs = list }
	}
	rules(t, validService, DefaultService, validateService, []rule[*v1.Service]{
		{"dual", dualStack, ""},
		{"singular alone", ips("10.96.0.1"), "Required spec.clusterIPs"},
		{"plural alone", ips("", "10.96.0.1"), "Invalid spec.clusterIPs"},
		{"that differ", ips("10.96.0.2", "10.96.0.1"), "Invalid spec.clusterIPs"},
		{"none", ips(""), ""},
		{"None", ips("None", "None"), ""},
		{"None and more", ips("None", "None", "10.96.0.1"), "Invalid spec.clusterIPs"},
		{"more and None", ips("10.96.0.1", "10.96.0.1", "None"), "Invalid spec.clusterIPs[1]"},
		{"malformed", ips("10.96.0", "10.96.0"), "Invalid spec.clusterIPs[0]"},
		{"leading zeros", ips("10.96.0.01", "10.96.0.01"), "Invalid spec.clusterIPs[0]"},
		{"IPv4 as IPv6", ips("::ffff:10.96.0.1", "::ffff:10.96.0.1"), "Invalid spec.clusterIPs[0]"},
		{"two of a family", ips("10.96.0.1", "10.96.0.1", "10.96.0.2"), "Invalid spec.clusterIPs"},
		{"three", ips("10.96.0.1", "10.96.0.1", "fd00::1", "fd00::2"), "Invalid spec.clusterIPs"},
		{"of another family", func(s *v1.Service) { ips("fd00::1", "fd00::1")(s); s.Spec.IPFamilies = []v1.IPFamily{"IPv4"} },
			"Invalid spec.clusterIPs[0]"},
		{"of another family, and linked wrongly",
			func(s *v1.Service) { ips("", "fd00::1")(s); s.Spec.IPFamilies = []v1.IPFamily{"IPv4"} },
			"Invalid spec.clusterIPs\nInvalid spec.clusterIPs[0]"},
		{"unknown family", func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{"IPv5"} },
			"NotSupported spec.ipFamilies[0]"},
		{"family twice", func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{"IPv4", "IPv4"} },
			"Duplicate spec.ipFamilies[1]"},
		{"unknown policy", func(s *v1.Service) { s.Spec.IPFamilyPolicy = ptr(v1.IPFamilyPolicy("x")) },
			"NotSupported spec.ipFamilyPolicy"},
		{"external", external("192.0.2.1", "2001:db8::1"), ""},
		{"external, malformed", external("192.0.2.1", "x"), "Invalid spec.externalIPs[1]"},
		{"external, leading zeros", external("192.0.2.01"), "Invalid spec.externalIPs[0]"},
		{"external, unspecified", external("0.0.0.0"), "Invalid spec.externalIPs[0]"},
		{"external, loopback", external("127.0.0.1"), "Invalid spec.externalIPs[0]"},
		{"external, link-local", external("fe80::1"), "Invalid spec.externalIPs[0]"},
		{"external, link-local multicast", external("224.0.0.1"), "Invalid spec.externalIPs[0]"},
	})
}

func TestServiceLoadBalancer(t *testing.T) {
	ranges := func(list ...string) func(*v1.Service) {
		return func(s *v1.Service) { balanced(s); s.Spec.LoadBalancerSourceRanges = list }
	}
	annotated := func(value string) func(*v1.Service) {
		return func(s *v1.Service) {
			s.Annotations = map[string]string{v1.AnnotationLoadBalancerSourceRangesKey: value}
		}
	}
	const annotation = "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]"
	rules(t, validService, DefaultService, validateService, []rule[*v1.Service]{
		{"valid", balanced, ""},
		{"ranges", ranges("10.0.0.0/8", " 2001:db8::/32 "), ""},
		{"ranges, malformed", ranges("10.0.0.0"), "Invalid spec.LoadBalancerSourceRanges[0]"},
		{"ranges, host bits", ranges("10.0.0.1/8"), "Invalid spec.LoadBalancerSourceRanges[0]"},
		{"ranges, leading zeros", ranges("10.0.0.00/8"), "Invalid spec.LoadBalancerSourceRanges[0]"},
		{"ranges of another type", func(s *v1.Service) { s.Spec.LoadBalancerSourceRanges = []string{"10.0.0.0/8"} },
			"Forbidden spec.LoadBalancerSourceRanges"},
		{"annotation", func(s *v1.Service) { balanced(s); annotated("10.0.0.0/8, 192.0.2.0/24")(s) }, ""},
		{"annotation, empty", func(s *v1.Service) { balanced(s); annotated(" ")(s) }, ""},
		{"annotation, malformed", func(s *v1.Service) { balanced(s); annotated("10.0.0.0/8,x")(s) }, "Invalid " + annotation},
		{"annotation of another type", annotated("10.0.0.0/8"), "Forbidden " + annotation},
		{"annotation beside the field is not read", func(s *v1.Service) { ranges("10.0.0.0/8")(s); annotated("x")(s) }, ""},
		{"allocation of another type", func(s *v1.Service) { s.Spec.AllocateLoadBalancerNodePorts = ptr(true) },
			"Forbidden spec.allocateLoadBalancerNodePorts"},
		{"class", func(s *v1.Service) { balanced(s); s.Spec.LoadBalancerClass = ptr("example.com/lb") }, ""},
		{"class, malformed", func(s *v1.Service) { balanced(s); s.Spec.LoadBalancerClass = ptr("a b") },
			"Invalid spec.loadBalancerClass"},
		{"class of another type", func(s *v1.Service) { s.Spec.LoadBalancerClass = ptr("lb") },
			"Forbidden spec.loadBalancerClass"},
		{"policy where nothing comes from outside", func(s *v1.Service) { s.Spec.ExternalTrafficPolicy = "Cluster" },
			"Invalid spec.externalTrafficPolicy"},
		{"policy with external IPs", func(s *v1.Service) {
			s.Spec.ExternalIPs,
				s.Spec.ExternalTrafficPolicy = []string{"192.0.2.1"}, "Local"
		}, ""},
		{"ranges of two families", ranges("192.0.2.0/24", "2001:db8::/32"), ""},
		{"policy Local of node ports", func(s *v1.Service) { nodePortService(s); s.Spec.ExternalTrafficPolicy = "Local" },
			""},
		{"no node ports", func(s *v1.Service) { balanced(s); s.Spec.AllocateLoadBalancerNodePorts = ptr(false) }, ""},
		{"unknown policy", func(s *v1.Service) { nodePortService(s); s.Spec.ExternalTrafficPolicy = "x" },
			"NotSupported spec.externalTrafficPolicy"},
		{"health check", localBalanced, ""},
		{"health check, none", func(s *v1.Service) { localBalanced(s); s.Spec.HealthCheckNodePort = 0 },
			"Required spec.healthCheckNodePort"},
		{"health check, too large", func(s *v1.Service) { localBalanced(s); s.Spec.HealthCheckNodePort = 65536 },
			"Invalid spec.healthCheckNodePort"},
		{"health check, not needed", func(s *v1.Service) { s.Spec.HealthCheckNodePort = 30100 },
			"Invalid spec.healthCheckNodePort"},
	})
	bare := validService()
	balanced(bare)
	expect(t, nodePortAllocation(bare, field.NewPath("spec")), "Required allocateLoadBalancerNodePorts")
	expect(t, externalTrafficPolicy(bare, field.NewPath("spec")), "Required spec.externalTrafficPolicy")
}

func TestServiceWarnings(t *testing.T) {
	tests := []struct {
		name  string
		build func(*v1.Service)
		want  []string // what the warnings begin with
	}{
		{"nothing to say", nil, nil},
		{"older annotation", func(s *v1.Service) {
			s.Annotations = map[string]string{v1.DeprecatedAnnotationTopologyAwareHints: "Auto"}
		},
			[]string{"metadata.annotations[service.kubernetes.io/topology-aware-hints]: deprecated"}},
		{"loose spelling", func(s *v1.Service) {
			s.Spec.ClusterIPs, s.Spec.LoadBalancerIP = []string{"fd00:0::1"}, "10.0.0.01"
			s.Spec.LoadBalancerSourceRanges = []string{"10.0.0.1/8"}
		}, []string{"spec.clusterIPs[0]: ", "spec.loadBalancerIP: ", "spec.loadBalancerSourceRanges[0]: "}},
		{"malformed is not for warnings",
			func(s *v1.Service) { s.Spec.LoadBalancerIP = "x"; s.Spec.LoadBalancerSourceRanges = []string{"x"} }, nil},
		{"headless", func(s *v1.Service) {
			headlessService(s)
			s.Spec.LoadBalancerIP, s.Spec.ExternalIPs, s.Spec.SessionAffinity = "10.0.0.1", []string{"10.0.0.2"},
				v1.ServiceAffinityClientIP
		}, []string{"spec.loadBalancerIP: ignored", "spec.externalIPs: ignored", "spec.sessionAffinity: ignored"}},
		{"external IPs", func(s *v1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} },
			[]string{"spec.externalIPs: deprecated"}},
		{"external name with external IPs",
			func(s *v1.Service) { externalNameService(s); s.Spec.ExternalIPs = []string{"192.0.2.1"} },
			[]string{"spec.externalIPs: ignored"}},
		{"external name of another type", func(s *v1.Service) { s.Spec.ExternalName = "db" },
			[]string{"spec.externalName: ignored"}},
		{"PreferClose", func(s *v1.Service) { s.Spec.TrafficDistribution = ptr("PreferClose") },
			[]string{"spec.trafficDistribution: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := validService()
			apply(tt.build, svc)
			got := ServiceWarnings(svc, nil)
			if len(got) != len(tt.want) {
				t.Fatalf("warnings %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("warning %q, want one that begins with %q", got[i], tt.want[i])
				}
			}
		})
	}
}
