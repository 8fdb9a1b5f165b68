package validation

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestServiceUpdate(t *testing.T) {
	classes := func(class *string) func(*v1.Service) {
		return func(s *v1.Service) { balanced(s); s.Spec.LoadBalancerClass = class }
	}
	validate := func(now, old *v1.Service) field.ErrorList { return ValidateServiceUpdate(now, old) }
	changes(t, validService, DefaultService, validate, []change[*v1.Service]{
		{"nothing", nil, nil, ""},
		{"name", nil, func(s *v1.Service) { s.Name = "b" }, "Invalid metadata.name"},
		{"the rules of creation", nil, func(s *v1.Service) { s.Spec.Ports[0].Port = -1 }, "Invalid spec.ports[0].port"},
		{"address", nil, func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.11", []string{"10.96.0.11"} },
			"Invalid spec.clusterIPs[0]"},
		{"second address", dualStack, func(s *v1.Service) { s.Spec.ClusterIPs[1] = "fd00::11" },
			"Invalid spec.clusterIPs[1]"},
		{"gain the second", nil, dualStack, ""},
		{"gain the second before the first", nil, func(s *v1.Service) {
			dualStack(s)
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "fd00::10", []string{"fd00::10", "10.96.0.10"}
			s.Spec.IPFamilies = []v1.IPFamily{"IPv6", "IPv4"}
		}, "Invalid spec.clusterIPs[0]\nInvalid spec.ipFamilies[0]"},
		{"lose the second", dualStack, func(s *v1.Service) { *s = *withVersion(validService(), s) }, ""},
		{"lose the second without saying so", dualStack, func(s *v1.Service) {
			s.Spec.ClusterIPs, s.Spec.IPFamilies = s.Spec.ClusterIPs[:1], s.Spec.IPFamilies[:1]
		}, "Invalid spec.ipFamilyPolicy"},
		{"lose the first", dualStack, func(s *v1.Service) {
			s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies = "fd00::10", []string{"fd00::10"}, []v1.IPFamily{"IPv6"}
		}, "Invalid spec.clusterIPs[0]\nInvalid spec.ipFamilies[0]"},
		{"lose all", nil, func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies = "", nil, nil },
			"Invalid spec.clusterIPs[0]\nInvalid spec.ipFamilies[0]"},
		{"become headless", nil, headlessService, "Invalid spec.clusterIPs[0]"},
		{"cease to be headless", headlessService, func(s *v1.Service) { *s = *withVersion(validService(), s) },
			"Invalid spec.clusterIPs[0]"},
		{"families of a headless one", headlessService, func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{"IPv6"} },
			""},
		{"families swapped", dualStack, func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{"IPv6", "IPv4"} },
			"Invalid spec.clusterIPs[0]\nInvalid spec.clusterIPs[1]\nInvalid spec.ipFamilies[0]"},
		{"to external name", nil, externalNameService, ""},
		{"from external name", externalNameService, func(s *v1.Service) { *s = *withVersion(validService(), s) }, ""},
		{"class", classes(ptr("a")), classes(ptr("b")), "Invalid spec.loadBalancerClass"},
		{"class gone", classes(ptr("a")), classes(nil), "Invalid spec.loadBalancerClass"},
		{"class with the type", nil, classes(ptr("a")), ""},
		{"health check port", localBalanced, func(s *v1.Service) { s.Spec.HealthCheckNodePort++ },
			"Forbidden spec.healthCheckNodePort"},
		{"loose spelling that was stored", func(s *v1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.01"} },
			func(s *v1.Service) { s.Labels = map[string]string{"a": "b"} }, ""},
		{"stored, but banned", func(s *v1.Service) { s.Spec.ExternalIPs = []string{"127.0.0.1"} }, nil,
			"Invalid spec.externalIPs[0]"},
		{"loose cluster address that was stored", func(s *v1.Service) {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.010",
				[]string{"10.96.0.010"}
		}, nil, ""},
		{"loose range that was stored",
			func(s *v1.Service) { balanced(s); s.Spec.LoadBalancerSourceRanges = []string{"10.0.0.1/8"} }, nil, ""},
		{"loose annotation that was stored", func(s *v1.Service) {
			balanced(s)
			s.Annotations = map[string]string{v1.AnnotationLoadBalancerSourceRangesKey: "x"}
		}, nil, ""},
	})
}

// withVersion gives s the version of the object that it replaces.
func withVersion(s, old *v1.Service) *v1.Service {
	s.ResourceVersion = old.ResourceVersion
	return s
}

func TestServiceStatus(t *testing.T) {
	ingress := func(i v1.LoadBalancerIngress) func(*v1.Service) {
		return func(s *v1.Service) { balanced(s); s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{i} }
	}
	const at = "status.loadBalancer.ingress[0]"
	changes(t, validService, nil, ValidateServiceStatusUpdate, []change[*v1.Service]{
		{"address", nil, ingress(v1.LoadBalancerIngress{IP: "192.0.2.1", IPMode: ptr(v1.LoadBalancerIPModeVIP)}), ""},
		{"name", nil, ingress(v1.LoadBalancerIngress{Hostname: "lb.example"}), ""},
		{"another type", nil, func(s *v1.Service) {
			ingress(v1.LoadBalancerIngress{Hostname: "lb"})(
				s)
			s.Spec.Type = "ClusterIP"
		}, "Forbidden status.loadBalancer.ingress"},
		{"malformed address", nil, ingress(v1.LoadBalancerIngress{IP: "x", IPMode: ptr(v1.LoadBalancerIPModeVIP)}),
			"Invalid " + at + ".ip"},
		{"loose address that was stored", ingress(v1.LoadBalancerIngress{IP: "192.0.2.01",
			IPMode: ptr(v1.LoadBalancerIPModeVIP)}), nil, ""},
		{"no mode", nil, ingress(v1.LoadBalancerIngress{IP: "192.0.2.1"}), "Required " + at + ".ipMode"},
		{"mode without address", nil, ingress(v1.LoadBalancerIngress{IPMode: ptr(v1.LoadBalancerIPModeVIP)}), "Forbidden " +
			at + ".ipMode"},
		{"unknown mode", nil, ingress(v1.LoadBalancerIngress{IP: "192.0.2.1", IPMode: ptr(v1.LoadBalancerIPMode("x"))}),
			"NotSupported " + at + ".ipMode"},
		{"malformed name", nil, ingress(v1.LoadBalancerIngress{Hostname: "a b"}), "Invalid " + at + ".hostname"},
		{"name that is an address", nil, ingress(v1.LoadBalancerIngress{Hostname: "192.0.2.1"}), "Invalid " + at +
			".hostname"},
	})
}

// Conditions are not refused, for Kubernetes does not refuse them; what is wrong with them is said.
func TestServiceStatusWarnings(t *testing.T) {
	good := metav1.Condition{Type: "Ready", Status: "True", Reason: "Done", LastTransitionTime: metav1.Unix(1, 0)}
	with := func(build func(*metav1.Condition)) []metav1.Condition {
		c := good
		build(&c)
		return []metav1.Condition{c}
	}
	for _, tt := range []struct {
		name       string
		conditions []metav1.Condition
		want       string
	}{
		{"valid", []metav1.Condition{good}, ""},
		{"no type", with(func(c *metav1.Condition) { c.Type = "" }), "status.conditions[0].type"},
		{"type, malformed", with(func(c *metav1.Condition) { c.Type = "a b" }), "status.conditions[0].type"},
		{"type twice", []metav1.Condition{good, good}, "status.conditions[1]"},
		{"status", with(func(c *metav1.Condition) { c.Status = "yes" }), "status.conditions[0].status"},
		{"no time", with(func(c *metav1.Condition) { c.LastTransitionTime = metav1.Time{} }),
			"status.conditions[0].lastTransitionTime"},
		{"no reason", with(func(c *metav1.Condition) { c.Reason = "" }), "status.conditions[0].reason"},
		{"generation", with(func(c *metav1.Condition) { c.ObservedGeneration = -1 }),
			"status.conditions[0].observedGeneration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			svc := validService()
			svc.Status.Conditions = tt.conditions
			expect(t, ValidateServiceStatusUpdate(svc, validService()), "")
			got := ServiceStatusWarnings(svc, validService())
			if (tt.want == "") != (len(got) == 0) || tt.want != "" && !strings.HasPrefix(got[0], tt.want+": ") {
				t.Errorf("warnings %q, want one of %q", got, tt.want)
			}
		})
	}
	svc := validService()
	ingress := []v1.LoadBalancerIngress{{IP: "2001:db8:0::1"}, {IP: "192.0.2.1"}}
	svc.Status.LoadBalancer.Ingress = ingress
	if got := ServiceStatusWarnings(svc, validService()); len(got) != 1 || !strings.HasPrefix(got[0],
		"status.loadBalancer.ingress[0].ip: ") {
		t.Errorf("warnings %q", got)
	}
}
