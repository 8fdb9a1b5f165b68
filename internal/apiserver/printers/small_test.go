package printers

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeRows(t *testing.T) {
	readiness := func(status v1.ConditionStatus) v1.NodeStatus {
		return v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: status}}}
	}
	full := &v1.Node{ObjectMeta: created("n"), Status: readiness(v1.ConditionTrue)}
	full.Labels = map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": "",
		"kubernetes.io/role": "worker"}
	full.Status.Addresses = []v1.NodeAddress{{Type: v1.NodeExternalIP, Address: "192.0.2.1"}, {Type: v1.NodeInternalIP,
		Address: "10.0.0.1"}}
	full.Status.NodeInfo = v1.NodeSystemInfo{KubeletVersion: "v1", OSImage: "Linux", KernelVersion: "6.1",
		ContainerRuntimeVersion: "process://1"}
	tests := []struct {
		name, want string
		node       *v1.Node
	}{
		{"unheard of", "n | Unknown | <none> | 5m |  | <none> | <none> | <unknown> | <unknown> | <unknown>",
			&v1.Node{ObjectMeta: created("n")}},
		{"not ready", "n | NotReady | <none> | 5m |  | <none> | <none> | <unknown> | <unknown> | <unknown>",
			&v1.Node{ObjectMeta: created("n"), Status: readiness(v1.ConditionUnknown)}},
		{"cordoned", "n | Ready,SchedulingDisabled | <none> | 5m |  | <none> | <none> | <unknown> | <unknown> | <unknown>",
			&v1.Node{ObjectMeta: created("n"), Spec: v1.NodeSpec{Unschedulable: true}, Status: readiness(v1.ConditionTrue)}},
		{"full", "n | Ready | edge,worker | 5m | v1 | 10.0.0.1 | 192.0.2.1 | Linux | 6.1 | process://1", full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := row(t, Nodes(), tt.node); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEventRows(t *testing.T) {
	event := func(build func(*v1.Event)) *v1.Event {
		e := &v1.Event{ObjectMeta: created("web.1"), Type: "Warning", Reason: "BackOff", Message: "restarting \n",
			InvolvedObject: v1.ObjectReference{Kind: "Pod", Name: "web", FieldPath: "spec.containers{c}"}}
		build(e)
		return e
	}
	micro := func(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(now.Add(-d)) }
	tests := []struct {
		name, want string
		event      *v1.Event
	}{
		{"the older way", "30s | Warning | BackOff | pod/web | spec.containers{c} | agent, n | restarting | 10m | 4 | web.1",
			event(func(e *v1.Event) {
				e.FirstTimestamp, e.LastTimestamp, e.Count = ago(10*time.Minute), ago(30*time.Second), 4
				e.Source = v1.EventSource{Component: "agent", Host: "n"}
			})},
		{"the newer way, once", "10m | Warning | BackOff | pod/web | spec.containers{c} | agent, n1 | restarting | 10m | " +
			"1 | web.1", event(func(e *v1.Event) {
			e.EventTime, e.ReportingController, e.ReportingInstance = micro(10*time.Minute), "agent", "n1"
		})},
		{"the newer way, often", "5s | Warning | BackOff | pod/web | spec.containers{c} | agent | restarting | 10m | 9 | " +
			"web.1", event(func(e *v1.Event) {
			e.EventTime, e.ReportingController = micro(10*time.Minute), "agent"
			e.Series = &v1.EventSeries{Count: 9, LastObservedTime: micro(5 * time.Second)}
		})},
		{"of nothing, at no time", "<unknown> | Warning | BackOff | pod |  |  | restarting | <unknown> | 1 | web.1",
			event(func(e *v1.Event) {
				e.InvolvedObject = v1.ObjectReference{Kind: "Pod"}
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := row(t, Events(), tt.event); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSmallRows(t *testing.T) {
	holder := "node-1"
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check(row(t, Namespaces(), &v1.Namespace{ObjectMeta: created("x"), Status: v1.NamespaceStatus{Phase: "Terminating"}}),
		"x | Terminating | 5m")
	check(row(t, ConfigMaps(), &v1.ConfigMap{ObjectMeta: created("x"), Data: map[string]string{"a": ""},
		BinaryData: map[string][]byte{"b": nil}}), "x | 2 | 5m")
	check(row(t, Secrets(), &v1.Secret{ObjectMeta: created("x"), Type: "Opaque", Data: map[string][]byte{"b": nil}}),
		"x | Opaque | 1 | 5m")
	check(row(t, ServiceAccounts(), &v1.ServiceAccount{ObjectMeta: created("x")}), "x | 0 | 5m")
	check(row(t, Leases(), &coordinationv1.Lease{ObjectMeta: created("x")}), "x |  | 5m")
	check(row(t, Leases(), &coordinationv1.Lease{ObjectMeta: created("x"),
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}), "x | node-1 | 5m")
}
