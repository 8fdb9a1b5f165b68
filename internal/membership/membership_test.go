package membership

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// web is a Service that selects app=web, with one port that targets 8080.
func web(change ...func(*v1.Service)) *v1.Service {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "svc-uid"},
		Spec: v1.ServiceSpec{
			Type: v1.ServiceTypeClusterIP, ClusterIP: "127.96.0.9", IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
			Selector: map[string]string{"app": "web"},
			Ports:    []v1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: v1.ProtocolTCP}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	return svc
}

// pod is a running, ready Pod with the label app=web at the given address.
func pod(name, ip string, change ...func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name + "-uid"),
			Labels: map[string]string{"app": "web"}},
		Spec: v1.PodSpec{
			NodeName: "node-1",
			Containers: []v1.Container{{
				Name: "c", Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: v1.ProtocolTCP}},
			}},
		},
		Status: v1.PodStatus{
			Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}},
			Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func notReady(p *v1.Pod)              { p.Status.Conditions[0].Status = v1.ConditionFalse }
func noConditions(p *v1.Pod)          { p.Status.Conditions = nil }
func deleted(p *v1.Pod)               { p.DeletionTimestamp = &metav1.Time{} }
func publishNotReady(svc *v1.Service) { svc.Spec.PublishNotReadyAddresses = true }
func dualStack(svc *v1.Service) {
	svc.Spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}
}
func phase(ph v1.PodPhase) func(*v1.Pod) { return func(p *v1.Pod) { p.Status.Phase = ph } }

func TestJudge(t *testing.T) {
	in := func(ready, serving, terminating bool, why Reason) Verdict {
		return Verdict{true, ready, serving, terminating, why}
	}
	out := func(why Reason) Verdict { return Verdict{Why: why} }
	tests := []struct {
		name string
		svc  *v1.Service
		pod  *v1.Pod
		want Verdict
	}{
		{"ready", web(), pod("a", "1.2.3.4"), in(true, true, false, Ready)},
		{"pending but ready", web(), pod("a", "1.2.3.4", phase(v1.PodPending)), in(true, true, false, Ready)},
		{"not ready", web(), pod("a", "1.2.3.4", notReady), in(false, false, false, NotReady)},
		{"no ready condition yet", web(), pod("a", "1.2.3.4", noConditions), in(false, false, false, NotReady)},
		{"not ready, published", web(publishNotReady), pod("a", "1.2.3.4", notReady), in(true, false, false,
			PublishedNotReady)},
		{"terminating and serving", web(), pod("a", "1.2.3.4", deleted), in(false, true, true, Terminating)},
		{"terminating, not serving", web(), pod("a", "1.2.3.4", deleted, notReady), in(false, false, true, Terminating)},
		{"terminating, published", web(publishNotReady), pod("a", "1.2.3.4", deleted),
			in(true, true, true, PublishedNotReady)},
		{"succeeded", web(), pod("a", "1.2.3.4", phase(v1.PodSucceeded)), out(Finished)},
		{"failed, published", web(publishNotReady), pod("a", "1.2.3.4", phase(v1.PodFailed)), out(Finished)},
		{"no address", web(), pod("a", "", func(p *v1.Pod) { p.Status.PodIPs = nil }), out(NoAddress)},
		{"address only in podIPs", web(), pod("a", "1.2.3.4", func(p *v1.Pod) { p.Status.PodIP = "" }),
			in(true, true, false, Ready)},
		{"other label value", web(), pod("a", "1.2.3.4", func(p *v1.Pod) { p.Labels["app"] = "Web" }), out(NotSelected)},
		{"no labels", web(), pod("a", "1.2.3.4", func(p *v1.Pod) { p.Labels = nil }), out(NotSelected)},
		{"more labels than asked", web(), pod("a", "1.2.3.4", func(p *v1.Pod) { p.Labels["x"] = "y" }),
			in(true, true, false, Ready)},
		{"an empty value is asked for", web(func(s *v1.Service) { s.Spec.Selector = map[string]string{"x": ""} }),
			pod("a", "1.2.3.4"), out(NotSelected)},
		{"other namespace", web(), pod("a", "1.2.3.4", func(p *v1.Pod) { p.Namespace = "other" }), out(OtherNamespace)},
		{"no selector", web(func(s *v1.Service) { s.Spec.Selector = nil }), pod("a", "1.2.3.4"), out(NoSelector)},
		{"empty selector", web(func(s *v1.Service) { s.Spec.Selector = map[string]string{} }), pod("a", "1.2.3.4"),
			out(NoSelector)},
		{"external name", web(func(s *v1.Service) { s.Spec.Type = v1.ServiceTypeExternalName }), pod("a", "1.2.3.4"),
			out(External)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Judge(tt.svc, tt.pod); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWhyNot(t *testing.T) {
	v6 := func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{v1.IPv6Protocol} }
	named := func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("htpp") }
	tests := []struct {
		name string
		svc  *v1.Service
		pod  *v1.Pod
		want Reason
	}{
		{"listed", web(), pod("a", "1.2.3.4"), ""},
		{"listed though not ready", web(), pod("a", "1.2.3.4", notReady), ""},
		{"judged out", web(), pod("a", "1.2.3.4", phase(v1.PodFailed)), Finished},
		{"other family", web(v6), pod("a", "1.2.3.4"), OtherFamily},
		{"no such port", web(named), pod("a", "1.2.3.4"), NoSuchPort},
		{"one port of two", web(named, func(s *v1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, v1.ServicePort{Name: "b", Port: 81, TargetPort: intstr.FromInt32(81)})
		}), pod("a", "1.2.3.4"), ""},
	}
	for _, tt := range tests {
		if got := WhyNot(tt.svc, tt.pod); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEveryReasonHasASentence(t *testing.T) {
	seen := map[string]Reason{}
	for _, r := range Reasons() {
		s := r.Sentence()
		if s == string(r) {
			t.Errorf("%s has no sentence", r)
		}
		if other, twice := seen[s]; twice {
			t.Errorf("%s and %s say the same", r, other)
		}
		seen[s] = r
	}
}

func TestMatters(t *testing.T) {
	tests := []struct {
		name   string
		change func(*v1.Pod)
		want   bool
	}{
		{"nothing", func(*v1.Pod) {}, false},
		{"resource version", func(p *v1.Pod) { p.ResourceVersion = "2" }, false},
		{"annotation", func(p *v1.Pod) { p.Annotations = map[string]string{"a": "b"} }, false},
		{"another condition", func(p *v1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, v1.PodCondition{Type: v1.PodScheduled})
		}, false},
		{"restart count", func(p *v1.Pod) { p.Status.ContainerStatuses = []v1.ContainerStatus{{RestartCount: 1}} }, false},
		{"pending to running", phase(v1.PodPending), false},
		{"readiness", notReady, true},
		{"label", func(p *v1.Pod) { p.Labels = map[string]string{"app": "x"} }, true},
		{"end", phase(v1.PodFailed), true},
		{"deletion", deleted, true},
		{"address", func(p *v1.Pod) { p.Status.PodIPs = []v1.PodIP{{IP: "1.2.3.5"}} }, true},
		{"hostname", func(p *v1.Pod) { p.Spec.Hostname = "h" }, true},
		{"subdomain", func(p *v1.Pod) { p.Spec.Subdomain = "s" }, true},
		{"node", func(p *v1.Pod) { p.Spec.NodeName = "other" }, true},
		{"another pod of that name", func(p *v1.Pod) { p.UID = "other" }, true},
	}
	for _, tt := range tests {
		if got := Matters(pod("a", "1.2.3.4"), pod("a", "1.2.3.4", tt.change)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if !Matters(nil, pod("a", "1.2.3.4")) || !Matters(pod("a", "1.2.3.4"), nil) {
		t.Error("a pod that comes or goes always matters")
	}
}

func TestResolvePorts(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	target := func(name string, proto v1.Protocol) func(*v1.Service) {
		return func(s *v1.Service) {
			s.Spec.Ports[0].TargetPort, s.Spec.Ports[0].Protocol = intstr.FromString(name), proto
		}
	}
	sidecar := func(policy *v1.ContainerRestartPolicy) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{{RestartPolicy: policy,
				Ports: []v1.ContainerPort{{Name: "side", ContainerPort: 9}}}}
		}
	}
	tests := []struct {
		name string
		svc  *v1.Service
		pod  *v1.Pod
		want int32 // 0: not resolved
	}{
		{"number", web(), pod("a", "1.2.3.4"), 8080},
		{"a number that no container has", web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort.IntVal = 99 }),
			pod("a", "1.2.3.4"), 99},
		{"zero is the service's own", web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.IntOrString{} }),
			pod("a", "1.2.3.4"), 80},
		{"so is no name, though a container has a port without one", web(target("", v1.ProtocolTCP)),
			pod("a", "1.2.3.4", func(p *v1.Pod) {
				p.Spec.Containers[0].Ports[0].Name = ""
			}), 80},
		{"name", web(target("http", v1.ProtocolTCP)), pod("a", "1.2.3.4"), 8080},
		{"name, protocol left out", web(target("http", "")), pod("a", "1.2.3.4"), 8080},
		{"name of another protocol", web(target("http", v1.ProtocolUDP)), pod("a", "1.2.3.4"), 0},
		{"unknown name", web(target("nope", v1.ProtocolTCP)), pod("a", "1.2.3.4"), 0},
		{"port of a sidecar", web(target("side", v1.ProtocolTCP)), pod("a", "1.2.3.4", sidecar(&always)), 9},
		{"port of an init container", web(target("side", v1.ProtocolTCP)), pod("a", "1.2.3.4", sidecar(nil)), 0},
		{"the first container that has it", web(target("http", v1.ProtocolTCP)), pod("a", "1.2.3.4", func(p *v1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers,
				v1.Container{Ports: []v1.ContainerPort{{Name: "http", ContainerPort: 1}}})
		}), 8080},
	}
	for _, tt := range tests {
		ports, missing := ResolvePorts(tt.svc, tt.pod)
		switch {
		case tt.want == 0 && (len(ports) != 0 || len(missing) != 1):
			t.Errorf("%s: %v, missing %v; want none", tt.name, ports, missing)
		case tt.want != 0 && (len(ports) != 1 || ports[0].Number != tt.want):
			t.Errorf("%s: %v, want %d", tt.name, ports, tt.want)
		}
	}
}

func TestOfPods(t *testing.T) {
	both := pod("b", "10.0.0.2", func(p *v1.Pod) { p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: "fd00::2"}) })
	zone := func(node string) (string, bool) { return "zone-of-" + node, true }
	members := OfPods(web(dualStack), []*v1.Pod{both, pod("a", "10.0.0.10")}, zone)
	var got []string
	for _, m := range members {
		got = append(got, m.Addr.String()+" "+m.Target.Name+" "+m.Zone)
	}
	want := []string{"10.0.0.2 b zone-of-node-1", "10.0.0.10 a zone-of-node-1", "fd00::2 b zone-of-node-1"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("member %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestHostnameOnlyInItsOwnSubdomain(t *testing.T) {
	named := func(sub string) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "db-0", sub }
	}
	for sub, want := range map[string]string{"web": "db-0", "other": "", "": ""} {
		if got := OfPods(web(), []*v1.Pod{pod("a", "10.0.0.1", named(sub))}, nil)[0].Hostname; got != want {
			t.Errorf("subdomain %q: hostname %q, want %q", sub, got, want)
		}
	}
}
