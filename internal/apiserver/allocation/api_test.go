package allocation_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

func patch(t *testing.T, client kubernetes.Interface, name, body string) *corev1.Service {
	t.Helper()
	svc, err := client.CoreV1().Services("default").Patch(t.Context(), name, types.MergePatchType, []byte(body),
		metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return svc
}

// wantInvalid checks that err is Invalid with a cause at field that contains text.
func wantInvalid(t *testing.T, err error, field, text string) {
	t.Helper()
	var status *apierrors.StatusError
	if !apierrors.IsInvalid(err) {
		t.Errorf("error %v, want invalid at %s", err, field)
		return
	}
	status, _ = err.(*apierrors.StatusError)
	for _, cause := range status.ErrStatus.Details.Causes {
		if cause.Field == field && strings.Contains(cause.Message, text) {
			return
		}
	}
	t.Errorf("error %v, want %q at %s", err, text, field)
}

func TestFamilies(t *testing.T) {
	c := startCluster(t, 1, apiserver.Options{ServiceCIDRs: ranges("fd00:96::/112", "10.96.0.0/24")})
	client := c.clients[0]
	kubernetes, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || kubernetes.Spec.ClusterIP != "fd00:96::1" || kubernetes.Spec.IPFamilies[0] != corev1.IPv6Protocol {
		t.Errorf("the Service kubernetes: %v, %v", kubernetes.Spec, err)
	}
	families := func(svc *corev1.Service) string {
		var of []string
		for i, ip := range svc.Spec.ClusterIPs {
			if (svc.Spec.IPFamilies[i] == corev1.IPv4Protocol) != netip.MustParseAddr(ip).Is4() {
				t.Errorf("%s: %v of %v", svc.Name, svc.Spec.ClusterIPs, svc.Spec.IPFamilies)
			}
			of = append(of, string(svc.Spec.IPFamilies[i]))
		}
		return strings.Join(of, ",")
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Service)
		want   string
	}{
		"single":  {func(*corev1.Service) {}, "IPv6"},
		"prefer":  {withPolicy(corev1.IPFamilyPolicyPreferDualStack), "IPv6,IPv4"},
		"require": {withPolicy(corev1.IPFamilyPolicyRequireDualStack), "IPv6,IPv4"},
		"other":   {func(svc *corev1.Service) { svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol} }, "IPv4"},
		"turned": {func(svc *corev1.Service) {
			withPolicy(corev1.IPFamilyPolicyRequireDualStack)(svc)
			svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		}, "IPv4,IPv6"},
		"named": {func(svc *corev1.Service) {
			withPolicy(corev1.IPFamilyPolicyRequireDualStack)(svc)
			svc.Spec.ClusterIP = "10.96.0.9"
		}, "IPv4,IPv6"},
	} {
		if got := families(mustCreate(t, client, service(name, tt.change))); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	first := patch(t, client, "single", `{"spec":{"ipFamilyPolicy":"RequireDualStack"}}`)
	if got := families(first); got != "IPv6,IPv4" {
		t.Errorf("a second family gives %s", got)
	}
	c.checkRecords(t)
	if got := families(patch(t, client, "single", `{"spec":{"ipFamilyPolicy":"SingleStack"}}`)); got != "IPv6" {
		t.Errorf("one family leaves %s", got)
	}
	c.checkRecords(t)
	mustCreate(t, client, service("heir", withIPs(first.Spec.ClusterIPs[1])))
	c.checkRecords(t)
}

// An update may change the type to any other. Numbers that the new type cannot have are free at once, and the others
// stay the same.
func TestTransitions(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client := c.clients[0]
	made := mustCreate(t, client, service("a", ofType(corev1.ServiceTypeLoadBalancer), func(svc *corev1.Service) {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}))
	port, health := made.Spec.Ports[0].NodePort, made.Spec.HealthCheckNodePort
	if port == 0 || health == 0 || port == health {
		t.Fatalf("node port %d, health check node port %d", port, health)
	}
	for _, step := range []struct {
		body                  string
		address, port, health bool // kept
	}{
		{`{"metadata":{"labels":{"a":"b"}}}`, true, true, true},
		{`{"spec":{"externalTrafficPolicy":"Cluster"}}`, true, true, false},
		{`{"spec":{"type":"NodePort"}}`, true, true, false},
		{`{"spec":{"type":"ClusterIP"}}`, true, false, false},
		{`{"spec":{"type":"ExternalName","externalName":"a.example"}}`, false, false, false},
	} {
		svc := patch(t, client, "a", step.body)
		c.checkRecords(t)
		spec := &svc.Spec
		if step.address != (spec.ClusterIP == made.Spec.ClusterIP) || step.port != (spec.Ports[0].NodePort == port) ||
			step.health != (spec.HealthCheckNodePort == health) {
			t.Errorf("%s: address %s, node port %d, health check node port %d", step.body, spec.ClusterIP,
				spec.Ports[0].NodePort, spec.HealthCheckNodePort)
		}
	}
	back := patch(t, client, "a", `{"spec":{"type":"NodePort","externalName":null}}`)
	if back.Spec.ClusterIP == "" || back.Spec.Ports[0].NodePort == 0 {
		t.Errorf("from a name to a NodePort: %+v", back.Spec)
	}
	c.checkRecords(t)
}

// The protocols of one port number have one node port, whether they were added together or not.
func TestProtocolsShareANodePort(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client := c.clients[0]
	udp := corev1.ServicePort{Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP}
	made := mustCreate(t, client, service("a", ofType(corev1.ServiceTypeNodePort), func(svc *corev1.Service) {
		svc.Spec.Ports[0].Name = "tcp"
		svc.Spec.Ports = append(svc.Spec.Ports, udp)
	}))
	if p := made.Spec.Ports; p[0].NodePort == 0 || p[0].NodePort != p[1].NodePort {
		t.Errorf("created together: %v", p)
	}
	one := mustCreate(t, client, service("b", ofType(corev1.ServiceTypeNodePort),
		func(svc *corev1.Service) { svc.Spec.Ports[0].Name = "tcp" }))
	two := one.DeepCopy()
	two.Spec.Ports = append(two.Spec.Ports, udp)
	two, err := client.CoreV1().Services("default").Update(t.Context(), two, metav1.UpdateOptions{})
	if err != nil || two.Spec.Ports[0].NodePort != one.Spec.Ports[0].NodePort ||
		two.Spec.Ports[1].NodePort != one.Spec.Ports[0].NodePort {
		t.Errorf("one after the other: %v, %v", two.Spec.Ports, err)
	}
	c.checkRecords(t)
}

func TestRefusals(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client := c.clients[0]
	mustCreate(t, client, service("a", withIPs("10.96.0.9"), onNodePort(30009)))
	balancer := func(port int32) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer,
				corev1.ServiceExternalTrafficPolicyLocal
			svc.Spec.HealthCheckNodePort = port
		}
	}
	before := c.recorded(t)
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		for _, tt := range []struct {
			change      func(*corev1.Service)
			field, text string
		}{
			{withIPs("10.96.0.9"), "spec.clusterIPs", "provided IP is already allocated"},
			{withIPs("10.97.0.9"), "spec.clusterIPs", "provided IP is not in the valid range. The range of valid IPs is " +
				"10.96.0.0/27"},
			{withIPs("10.96.0.31"), "spec.clusterIPs", "not in the valid range"}, // the broadcast address
			{onNodePort(30009), "spec.ports[0].nodePort", "provided port is already allocated"},
			{onNodePort(30040), "spec.ports[0].nodePort", "provided port is not in the valid range. The range of valid ports " +
				"is 30000-30039"},
			// The second address of two is taken, so the first one is released.
			{func(svc *corev1.Service) {
				withIPs("fd00::9", "10.96.0.9")(svc)
				withPolicy(corev1.IPFamilyPolicyRequireDualStack)(svc)
			}, "spec.clusterIPs", "already allocated"},
			{func(svc *corev1.Service) {
				onNodePort(30010)(svc)
				svc.Spec.Ports[0].Name = "a"
				svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "b", Port: 90, NodePort: 30009})
			}, "spec.ports[1].nodePort", "already allocated"},
			// refused after the allocation
			{func(svc *corev1.Service) { svc.Spec.SessionAffinity = "Never" }, "spec.sessionAffinity", ""},
		} {
			_, err := create(t.Context(), client, service("refused", tt.change), dryRun...)
			wantInvalid(t, err, tt.field, tt.text)
		}
		for _, port := range []int32{30009, 29999} {
			if _, err := create(t.Context(), client, service("refused", balancer(port)), dryRun...); !apierrors.IsInternalError(
				err) {
				t.Errorf("health check node port %d: %v", port, err)
			}
		}
		if _, err := create(t.Context(), client, service("a", withIPs("10.96.0.9")), dryRun...); !apierrors.IsAlreadyExists(
			err) {
			t.Errorf("the same again: %v", err)
		}
	}
	if after := c.recorded(t); !slices.Equal(before, after) {
		t.Errorf("left behind: %v", without(after, before))
	}
}

// A dry run returns what a real request would get, on a server that allocates other numbers too, and claims nothing.
func TestDryRun(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client := c.clients[0]
	before := c.recorded(t)
	for i := range 20 {
		shown, err := create(t.Context(), client, service("shown", ofType(corev1.ServiceTypeNodePort),
			withPolicy(corev1.IPFamilyPolicyRequireDualStack)), metav1.DryRunAll)
		if err != nil {
			t.Fatal(err)
		}
		if len(shown.Spec.ClusterIPs) != 2 {
			t.Fatalf("shown: %v", shown.Spec)
		}
		for thing := range heldBy(shown) {
			if slices.ContainsFunc(c.recorded(t), func(line string) bool { return strings.HasPrefix(line, thing+" ") }) {
				t.Errorf("%s was shown, and is held: %v", thing, before)
			}
		}
		if after := c.recorded(t); !slices.Equal(before, after) {
			t.Fatalf("taken for show: %v", without(after, before))
		}
		mustCreate(t, client, service(fmt.Sprint("s", i), ofType(corev1.ServiceTypeNodePort),
			withPolicy(corev1.IPFamilyPolicyRequireDualStack)))
		before = c.recorded(t)
	}
}

// A restarted server knows what was allocated before, from the first request on.
func TestRestart(t *testing.T) {
	options := apiserver.Options{DataDir: t.TempDir(), ServiceCIDRs: ranges("10.96.0.0/24")}
	server := apitest.StartWith(t, options)
	first := mustCreate(t, server.Client(t), service("a", ofType(corev1.ServiceTypeNodePort)))
	server.Stop()
	again := apitest.StartWith(t, options).Client(t)
	_, err := create(t.Context(), again, service("b", withIPs(first.Spec.ClusterIP)))
	wantInvalid(t, err, "spec.clusterIPs", "already allocated")
	_, err = create(t.Context(), again, service("b", onNodePort(first.Spec.Ports[0].NodePort)))
	wantInvalid(t, err, "spec.ports[0].nodePort", "already allocated")
	if err := again.CoreV1().Services("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, again, service("b", withIPs(first.Spec.ClusterIP), onNodePort(first.Spec.Ports[0].NodePort)))
}
