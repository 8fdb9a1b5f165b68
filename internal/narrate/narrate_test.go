package narrate

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var update = flag.Bool("update", false, "write the golden file anew")

// A described change is one case of the golden file: what happened, and its line.
type described struct{ what, line string }

func TestGolden(t *testing.T) {
	all := append(serviceCases(), append(endpointsCases(), append(podCases(), otherCases()...)...)...)
	var got strings.Builder
	for _, c := range all {
		fmt.Fprintf(&got, "# %s\n%s\n", c.what, c.line)
	}
	const golden = "testdata/lines.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("run with -update if this is right (-want +got):\n%s", diff)
	}
}

func serviceCases() []described {
	web := service("10.0.0.7", v1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080),
		Protocol: v1.ProtocolTCP})
	moved := service("10.0.0.7", v1.ServicePort{Name: "http", Port: 81, TargetPort: intstr.FromInt32(8080),
		Protocol: v1.ProtocolTCP})
	dns := service("10.0.0.9", v1.ServicePort{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP,
		TargetPort: intstr.FromInt32(53)}, v1.ServicePort{Name: "dns-tcp", Port: 53, TargetPort: intstr.FromString("dns")})
	external := service("")
	external.Spec.Type, external.Spec.ExternalName = v1.ServiceTypeExternalName, "db.example.com"
	return []described{
		{"a Service is created", Service(nil, web)},
		{"with two ports, one by name, protocol left out", Service(nil, dns)},
		{"headless", Service(nil, service(v1.ClusterIPNone))},
		{"external name", Service(nil, external)},
		{"its port changes", Service(web, moved)},
		{"nothing changes", Service(web, web)},
		{"it is deleted", Service(web, nil)},
		{"it existed at the start", ServiceFound(web)},
		{"nothing at all", Service(nil, nil)},
	}
}

func endpointsCases() []described {
	two := endpoints(pod("10.1.0.2", "web-1"), pod("10.1.0.3", "web-2"))
	three := endpoints(pod("10.1.0.5", "web-3"), pod("10.1.0.2", "web-1"), pod("10.1.0.3", "web-2"))
	hand := endpoints(v1.EndpointAddress{IP: "192.0.2.1"}, v1.EndpointAddress{IP: "2001:db8::1"})
	many := endpoints()
	for i := range 7 {
		many.Subsets[0].Addresses = append(many.Subsets[0].Addresses, pod(fmt.Sprintf("10.1.1.%d", i),
			fmt.Sprintf("m-%d", i)))
	}
	noPorts := endpoints(pod("10.1.0.2", "web-1"))
	noPorts.Subsets[0].Ports = nil
	unready := endpoints(pod("10.1.0.2", "web-1"))
	unready.Subsets[0].NotReadyAddresses = []v1.EndpointAddress{pod("10.1.0.3", "web-2")}
	return []described{
		{"the first addresses", Endpoints(nil, two)},
		{"one more", Endpoints(two, three)},
		{"one stops being ready", Endpoints(two, unready)},
		{"one replaced by another", Endpoints(two, endpoints(pod("10.1.0.2", "web-1"), pod("10.1.0.9", "web-4")))},
		{"without Pods, two families", Endpoints(nil, hand)},
		{"many at once", Endpoints(nil, many)},
		{"no ports", Endpoints(nil, noPorts)},
		{"only an order changes", Endpoints(three, endpoints(pod("10.1.0.2", "web-1"), pod("10.1.0.3", "web-2"),
			pod("10.1.0.5", "web-3")))},
		{"created empty", Endpoints(nil, endpoints())},
		{"text that is no address has no line", Endpoints(nil, endpoints(v1.EndpointAddress{IP: "nonsense"}))},
		{"deleted", Endpoints(two, nil)},
	}
}

func podCases() []described {
	created := aPod(func(p *v1.Pod) {})
	bound := aPod(func(p *v1.Pod) { p.Spec.NodeName = "host-1" })
	running := aPod(func(p *v1.Pod) { run(p) })
	ready := aPod(func(p *v1.Pod) { run(p); setReady(p, v1.ConditionTrue, "", "") })
	unready := aPod(func(p *v1.Pod) { run(p); setReady(p, v1.ConditionFalse, "ContainersNotReady", "web answers 503") })
	stopping := aPod(func(p *v1.Pod) {
		run(p)
		setReady(p, v1.ConditionFalse, "", "")
		p.DeletionTimestamp = &metav1.Time{}
	})
	crashed := aPod(func(p *v1.Pod) {
		run(p)
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "web",
			State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", ContainerID: "a"}}}}
	})
	waiting := aPod(func(p *v1.Pod) {
		run(p)
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "web",
			State:                v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: crashed.Status.ContainerStatuses[0].State}}
	})
	again := aPod(func(p *v1.Pod) {
		run(p)
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "web", RestartCount: 1,
			State:                v1.ContainerState{Running: &v1.ContainerStateRunning{}},
			LastTerminationState: crashed.Status.ContainerStatuses[0].State}}
	})
	failed := aPod(func(p *v1.Pod) { run(p); p.Status.Phase, p.Status.Reason = v1.PodFailed, "Evicted" })
	done := aPod(func(p *v1.Pod) { run(p); p.Status.Phase = v1.PodSucceeded })
	return []described{
		{"a Pod is created", Pod(nil, created)},
		{"created with a node", Pod(nil, bound)},
		{"scheduled", Pod(created, bound)},
		{"runs", Pod(bound, running)},
		{"ready", Pod(running, ready)},
		{"both at once", Pod(bound, ready)},
		{"unready", Pod(ready, unready)},
		{"nothing changes", Pod(ready, ready)},
		{"being deleted", Pod(ready, stopping)},
		{"its container ends", Pod(running, crashed)},
		{"it ends and waits at once", Pod(running, waiting)},
		{"it waits after a while; the end has one line", Pod(crashed, waiting)},
		{"and restarts", Pod(waiting, again)},
		{"fails", Pod(running, failed)},
		{"finishes", Pod(running, done)},
		{"deleted", Pod(ready, nil)},
	}
}

func otherCases() []described {
	event := func(kind string, count int32) *v1.Event {
		return &v1.Event{Type: kind, Reason: "BackOff", Message: "cannot start\n", Count: count,
			InvolvedObject: v1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web-1"}}
	}
	series := event(v1.EventTypeWarning, 0)
	series.Series = &v1.EventSeries{Count: 9}
	clusterWide := event(v1.EventTypeWarning, 1)
	clusterWide.InvolvedObject = v1.ObjectReference{Kind: "Node", Name: "host-1"}
	node := func(s v1.ConditionStatus) *v1.Node {
		return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "host-1"},
			Status: v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: s}}}}
	}
	return []described{
		{"a warning", Event(nil, event(v1.EventTypeWarning, 1))},
		{"about something without a namespace", Event(nil, clusterWide)},
		{"a normal event", Event(nil, event(v1.EventTypeNormal, 1))},
		{"the third time has no line", Event(event(v1.EventTypeWarning, 2), event(v1.EventTypeWarning, 3))},
		{"the fourth has one", Event(event(v1.EventTypeWarning, 3), event(v1.EventTypeWarning, 4))},
		{"counted as a series", Event(event(v1.EventTypeWarning, 1), series)},
		{"a node joins", Node(nil, node(v1.ConditionUnknown))},
		{"joins ready", Node(nil, node(v1.ConditionTrue))},
		{"becomes ready", Node(node(v1.ConditionFalse), node(v1.ConditionTrue))},
		{"stops being ready", Node(node(v1.ConditionTrue), node(v1.ConditionUnknown))},
		{"deleted", Node(node(v1.ConditionTrue), nil)},
	}
}

func service(clusterIP string, ports ...v1.ServicePort) *v1.Service {
	return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: v1.ServiceSpec{ClusterIP: clusterIP, Ports: ports}}
}

func endpoints(ready ...v1.EndpointAddress) *v1.Endpoints {
	return &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Subsets: []v1.EndpointSubset{{Addresses: ready, Ports: []v1.EndpointPort{{Port: 8080}}}}}
}

func pod(ip, name string) v1.EndpointAddress {
	return v1.EndpointAddress{IP: ip, TargetRef: &v1.ObjectReference{Kind: "Pod", Name: name}}
}

func aPod(edit func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"}}
	edit(p)
	return p
}

func run(p *v1.Pod) {
	p.Spec.NodeName, p.Status.Phase, p.Status.PodIP = "host-1", v1.PodRunning, "10.1.0.2"
}

func setReady(p *v1.Pod, s v1.ConditionStatus, reason, message string) {
	p.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: s, Reason: reason, Message: message}}
}
