package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestServiceDefaults(t *testing.T) {
	cluster, local := v1.ServiceInternalTrafficPolicyCluster, v1.ServiceInternalTrafficPolicyLocal
	affinity := func(seconds int32) *v1.SessionAffinityConfig {
		return &v1.SessionAffinityConfig{ClientIP: &v1.ClientIPConfig{TimeoutSeconds: &seconds}}
	}
	tests := []struct {
		name       string
		give, want v1.ServiceSpec
	}{
		{"empty", v1.ServiceSpec{}, v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "None",
			InternalTrafficPolicy: &cluster}},
		{"ports", v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80}, {Port: 53, Protocol: "UDP",
			TargetPort: intstr.FromString("dns")}, {Port: 1, TargetPort: intstr.FromString("")}}},
			v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "None", InternalTrafficPolicy: &cluster, Ports: []v1.ServicePort{
				{Port: 80, Protocol: "TCP", TargetPort: intstr.FromInt32(80)}, {Port: 53, Protocol: "UDP",
					TargetPort: intstr.FromString("dns")},
				{Port: 1, Protocol: "TCP", TargetPort: intstr.FromInt32(1)}}}},
		{"affinity without a time", v1.ServiceSpec{SessionAffinity: "ClientIP",
			SessionAffinityConfig: &v1.SessionAffinityConfig{}},
			v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "ClientIP", SessionAffinityConfig: affinity(10800),
				InternalTrafficPolicy: &cluster}},
		{"affinity with a time", v1.ServiceSpec{SessionAffinity: "ClientIP", SessionAffinityConfig: affinity(5)},
			v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "ClientIP", SessionAffinityConfig: affinity(5),
				InternalTrafficPolicy: &cluster}},
		{"time without affinity", v1.ServiceSpec{SessionAffinityConfig: affinity(5), InternalTrafficPolicy: &local},
			v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "None", InternalTrafficPolicy: &local}},
		{"external IPs", v1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}},
			v1.ServiceSpec{Type: "ClusterIP", SessionAffinity: "None", InternalTrafficPolicy: &cluster,
				ExternalIPs: []string{"192.0.2.1"}, ExternalTrafficPolicy: "Cluster"}},
		{"node port", v1.ServiceSpec{Type: "NodePort", ExternalTrafficPolicy: "Local"},
			v1.ServiceSpec{Type: "NodePort", SessionAffinity: "None", InternalTrafficPolicy: &cluster,
				ExternalTrafficPolicy: "Local"}},
		{"load balancer", v1.ServiceSpec{Type: "LoadBalancer"}, v1.ServiceSpec{Type: "LoadBalancer", SessionAffinity: "None",
			InternalTrafficPolicy: &cluster, ExternalTrafficPolicy: "Cluster", AllocateLoadBalancerNodePorts: ptr(true)}},
		{"external name", v1.ServiceSpec{Type: "ExternalName", ExternalIPs: []string{"192.0.2.1"}},
			v1.ServiceSpec{Type: "ExternalName", SessionAffinity: "None", ExternalIPs: []string{"192.0.2.1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := &v1.Service{Spec: tt.give}
			DefaultService(svc)
			if diff := cmp.Diff(tt.want, svc.Spec); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
	svc := &v1.Service{Spec: v1.ServiceSpec{Type: "LoadBalancer"}}
	svc.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb"}}
	DefaultService(svc)
	want := []v1.LoadBalancerIngress{{IP: "192.0.2.1", IPMode: ptr(v1.LoadBalancerIPModeVIP)}, {Hostname: "lb"}}
	if diff := cmp.Diff(want, svc.Status.LoadBalancer.Ingress); diff != "" {
		t.Error("ingress (-want +got):\n", diff)
	}
}

func TestServiceDefaultsOnRead(t *testing.T) {
	cluster, single, dual := v1.ServiceInternalTrafficPolicyCluster, v1.IPFamilyPolicySingleStack,
		v1.IPFamilyPolicyRequireDualStack
	tests := []struct {
		name       string
		give, want v1.ServiceSpec
	}{
		{"address", v1.ServiceSpec{ClusterIP: "10.0.0.1"},
			v1.ServiceSpec{ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"}, IPFamilies: []v1.IPFamily{"IPv4"},
				IPFamilyPolicy: &single}},
		{"two addresses", v1.ServiceSpec{ClusterIP: "fd00::1", ClusterIPs: []string{"fd00::1", "10.0.0.1"}},
			v1.ServiceSpec{ClusterIP: "fd00::1", ClusterIPs: []string{"fd00::1", "10.0.0.1"}, IPFamilies: []v1.IPFamily{"IPv6",
				"IPv4"}, IPFamilyPolicy: &dual}},
		{"headless", v1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"a": "b"}},
			v1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"},
				Selector: map[string]string{"a": "b"}, IPFamilies: []v1.IPFamily{"IPv4"}, IPFamilyPolicy: &single}},
		{"headless without selector", v1.ServiceSpec{ClusterIP: "None"}, v1.ServiceSpec{ClusterIP: "None",
			ClusterIPs: []string{"None"},
			IPFamilies: []v1.IPFamily{"IPv4", "IPv6"}, IPFamilyPolicy: &dual}},
		{"external name", v1.ServiceSpec{Type: "ExternalName", InternalTrafficPolicy: &cluster},
			v1.ServiceSpec{Type: "ExternalName"}},
		{"complete", v1.ServiceSpec{IPFamilies: []v1.IPFamily{"IPv6"}}, v1.ServiceSpec{IPFamilies: []v1.IPFamily{"IPv6"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := &v1.Service{Spec: tt.give}
			DefaultServiceOnRead(svc)
			if diff := cmp.Diff(tt.want, svc.Spec); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

func TestPrepareServiceCreate(t *testing.T) {
	svc := &v1.Service{Spec: v1.ServiceSpec{ClusterIP: "10.0.0.1"}}
	svc.Status.Conditions = []metav1.Condition{{Type: "x"}}
	PrepareServiceCreate(svc)
	if diff := cmp.Diff(&v1.Service{Spec: v1.ServiceSpec{ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"}}},
		svc); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	plural := &v1.Service{Spec: v1.ServiceSpec{ClusterIPs: []string{"10.0.0.1"}}}
	PrepareServiceCreate(plural)
	if plural.Spec.ClusterIP != "" {
		t.Error("the plural was copied to the singular")
	}
}

// allocated is a node port Service with all that allocators gave it.
func allocated() *v1.Service {
	s := validService()
	dualStack(s)
	nodePortService(s)
	s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 30001, 30002
	DefaultService(s)
	return s
}

func TestPrepareServiceUpdate(t *testing.T) {
	same := func(*v1.Service) {}
	tests := []struct {
		name           string
		old, now, want func(*v1.Service) // each from the same allocated Service
	}{
		{"nothing", same, same, same},
		{"the client sends only its own", same, func(s *v1.Service) {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
		}, same},
		{"the client knows only the singular", same, func(s *v1.Service) { s.Spec.ClusterIPs = nil }, same},
		{"another singular", same, func(s *v1.Service) { s.Spec.ClusterIP = "10.96.0.99" },
			func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.99", []string{"10.96.0.99"} }},
		{"a node port is not taken from whom it was given to", same, func(s *v1.Service) {
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 30001
		}, func(s *v1.Service) { s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 30001 }},
		{"a new port gets none", same, func(s *v1.Service) { s.Spec.Ports = []v1.ServicePort{{Name: "new", Port: 1}} },
			func(s *v1.Service) { s.Spec.Ports = []v1.ServicePort{{Name: "new", Port: 1}} }},
		{"status is not the client's", same, func(s *v1.Service) { s.Status.Conditions = []metav1.Condition{{Type: "x"}} },
			same},
		{"to external name", same, func(s *v1.Service) { s.Spec.Type = "ExternalName" }, func(s *v1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "ExternalName", "", nil,
				nil, nil
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
			s.Spec.ExternalTrafficPolicy = ""
		}},
		{"to external name, touching the address", same, func(s *v1.Service) {
			s.Spec.Type,
				s.Spec.ClusterIPs = "ExternalName", []string{"10.96.0.10"}
		},
			func(s *v1.Service) {
				s.Spec.Type, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "ExternalName", []string{"10.96.0.10"},
					nil, nil
				s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
				s.Spec.ExternalTrafficPolicy = ""
			}},
		{"singular cleared on the way to external name", same, func(s *v1.Service) {
			s.Spec.Type,
				s.Spec.ClusterIP = "ExternalName", ""
		}, func(s *v1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "ExternalName", "", nil,
				nil, nil
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
			s.Spec.ExternalTrafficPolicy = ""
		}},
		{"to external name, knowing only the singular", same, func(s *v1.Service) {
			s.Spec.Type,
				s.Spec.ClusterIPs = "ExternalName", nil
		}, func(s *v1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "ExternalName", "", nil,
				nil, nil
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
			s.Spec.ExternalTrafficPolicy = ""
		}},
		{"to cluster IP", same, func(s *v1.Service) { s.Spec.Type = "ClusterIP" }, func(s *v1.Service) {
			s.Spec.Type, s.Spec.ExternalTrafficPolicy = "ClusterIP", ""
			s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 0
		}},
		{"to cluster IP, naming a node port", same, func(s *v1.Service) {
			s.Spec.Type, s.Spec.Ports[0].NodePort = "ClusterIP",
				30009
		}, func(s *v1.Service) {
			s.Spec.Type, s.Spec.ExternalTrafficPolicy, s.Spec.Ports[0].NodePort = "ClusterIP", "", 30009
		}},
		{"from load balancer", func(s *v1.Service) {
			localBalanced(s)
			s.Spec.LoadBalancerClass = ptr("a")
			DefaultService(s)
			s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{{IP: "192.0.2.1"}}
		}, func(s *v1.Service) {
			localBalanced(s)
			s.Spec.LoadBalancerClass = ptr("a")
			DefaultService(s)
			s.Spec.Type = "NodePort"
		}, func(s *v1.Service) { s.Spec.ExternalTrafficPolicy = "Local" }},
		{"health check port is kept", localBalanced, func(s *v1.Service) { localBalanced(s); s.Spec.HealthCheckNodePort = 0 },
			localBalanced},
		{"health check port goes with the policy", localBalanced,
			func(s *v1.Service) { localBalanced(s); s.Spec.ExternalTrafficPolicy = "Cluster" }, balanced},
		{"node ports given up", func(s *v1.Service) { balanced(s); s.Spec.AllocateLoadBalancerNodePorts = ptr(false) },
			func(s *v1.Service) {
				balanced(s)
				s.Spec.AllocateLoadBalancerNodePorts = ptr(false)
				s.Spec.Ports[0].NodePort = 0
			}, func(s *v1.Service) {
				balanced(s)
				s.Spec.AllocateLoadBalancerNodePorts = ptr(false)
				s.Spec.Ports[0].NodePort = 0
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old, now, want := allocated(), allocated(), allocated()
			tt.old(old)
			tt.now(now)
			tt.want(want)
			before := old.DeepCopy()
			PrepareServiceUpdate(now, old)
			if diff := cmp.Diff(want, now); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
			PrepareServiceUpdate(now, old)
			if diff := cmp.Diff(want, now); diff != "" {
				t.Error("the second time (-want +got):\n", diff)
			}
			if diff := cmp.Diff(before, old); diff != "" {
				t.Error("the old object changed:\n", diff)
			}
		})
	}
}
