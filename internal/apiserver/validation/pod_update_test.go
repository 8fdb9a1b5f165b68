package validation

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestPodUpdate(t *testing.T) {
	tolerate := func(list ...v1.Toleration) func(*v1.Pod) { return func(p *v1.Pod) { p.Spec.Tolerations = list } }
	a, b := v1.Toleration{Key: "a", Operator: "Exists", Effect: "NoExecute"}, v1.Toleration{Key: "b", Operator: "Exists",
		Effect: "NoExecute"}
	later := a
	later.TolerationSeconds = ptr[int64](9)
	deadline := func(seconds *int64) func(*v1.Pod) { return func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = seconds } }
	gates := func(names ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.SchedulingGates = nil
			for _, name := range names {
				p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, v1.PodSchedulingGate{Name: name})
			}
		}
	}
	grace := func(seconds int64) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
	}
	changes(t, validPod, DefaultPod, ValidatePodUpdate, []change[*v1.Pod]{
		{"labels", nil, func(p *v1.Pod) { p.Labels = map[string]string{"a": "b"} }, ""},
		{"name", nil, func(p *v1.Pod) { p.Name = "b" }, "Invalid metadata.name"},
		{"image", nil, first(func(c *v1.Container) { c.Image = "web:2" }), ""},
		{"no image", nil, first(func(c *v1.Container) { c.Image = "" }), "Required spec.containers[0].image"},
		{"image of an init container", nil, func(p *v1.Pod) { p.Spec.InitContainers[0].Image = "web:2" }, ""},
		{"command", nil, first(func(c *v1.Container) { c.Command = []string{"x"} }), "Forbidden spec"},
		{"node", nil, func(p *v1.Pod) { p.Spec.NodeName = "n" }, "Forbidden spec"},
		{"one container more", nil, func(p *v1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: "d",
				Image: "x:1"})
		}, "Forbidden spec.containers"},
		{"one init container less", nil, func(p *v1.Pod) { p.Spec.InitContainers = nil }, "Forbidden spec.initContainers"},
		{"deadline set", nil, deadline(ptr[int64](9)), ""},
		{"deadline nearer", deadline(ptr[int64](9)), deadline(ptr[int64](8)), ""},
		{"deadline further", deadline(ptr[int64](9)), deadline(ptr[int64](10)), "Invalid spec.activeDeadlineSeconds"},
		{"deadline gone", deadline(ptr[int64](9)), deadline(nil), "Invalid spec.activeDeadlineSeconds"},
		{"toleration more", tolerate(a), tolerate(b, a), ""},
		{"toleration less", tolerate(a, b), tolerate(a), "Forbidden spec.tolerations"},
		{"toleration for a time", tolerate(a), tolerate(later), ""},
		{"gate less", gates("a", "b"), gates("b"), ""},
		{"gate more", gates("a"), gates("a", "b"), "Forbidden spec.schedulingGates[1].name"},
		{"grace", nil, grace(5), "Forbidden spec"},
		{"grace, negative, stored", grace(-5), func(p *v1.Pod) { p.Labels = map[string]string{"a": "b"} }, ""},
		{"grace, negative, to one", grace(-5), grace(1), ""},
		{"grace, negative, to two", grace(-5), grace(2), "Forbidden spec"},
	})
}

// The choice of nodes may become narrower as long as a gate keeps the Pod from having one.
func TestGatedPodUpdate(t *testing.T) {
	type term = v1.NodeSelectorTerm
	a, b := v1.NodeSelectorRequirement{Key: "a", Operator: "Exists"}, v1.NodeSelectorRequirement{Key: "b",
		Operator: "Exists"}
	gated := func(p *v1.Pod) { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "g"}} }
	labelled := func(labels map[string]string) func(*v1.Pod) {
		return func(p *v1.Pod) { gated(p); p.Spec.NodeSelector = labels }
	}
	terms := func(list ...term) func(*v1.Pod) {
		return func(p *v1.Pod) {
			gated(p)
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: list}}}
		}
	}
	of := func(list ...v1.NodeSelectorRequirement) term { return term{MatchExpressions: list} }
	const at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	changes(t, validPod, DefaultPod, ValidatePodUpdate, []change[*v1.Pod]{
		{"label more", labelled(map[string]string{"a": "1"}), labelled(map[string]string{"a": "1", "b": "2"}), ""},
		{"label changed", labelled(map[string]string{"a": "1"}), labelled(map[string]string{"a": "2"}),
			"Invalid spec.nodeSelector"},
		{"label gone", labelled(map[string]string{"a": "1"}), labelled(nil), "Invalid spec.nodeSelector"},
		{"label more without a gate", nil, func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "1"} },
			"Forbidden spec"},
		{"terms given", gated, terms(of(a)), ""},
		{"requirement more", terms(of(a)), terms(of(a, b)), ""},
		{"requirement changed", terms(of(a)), terms(of(b)), "Invalid " + at + "[0]"},
		{"requirement gone", terms(of(a, b)), terms(of(a)), "Invalid " + at + "[0]"},
		{"requirement where there was none", terms(of()), terms(of(a)), "Invalid " + at + "[0]"},
		{"term more", terms(of(a)), terms(of(a), of(b)), "Invalid " + at},
		{"terms gone", terms(of(a)), func(p *v1.Pod) { p.Spec.Affinity = nil }, "Invalid " + at},
		{"affinity to Pods", gated, func(p *v1.Pod) { p.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{}} },
			"Forbidden spec"},
		{"terms without a gate", nil, func(p *v1.Pod) { terms(of(a))(p); p.Spec.SchedulingGates = nil }, "Forbidden spec"},
	})
}

func TestPodStatusUpdate(t *testing.T) {
	ips := func(list ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Status.PodIP, p.Status.PodIPs = list[0], nil
			for _, ip := range list {
				p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: ip})
			}
		}
	}
	hosts := func(list ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Status.HostIP, p.Status.HostIPs = list[0], nil
			for _, ip := range list {
				p.Status.HostIPs = append(p.Status.HostIPs, v1.HostIP{IP: ip})
			}
		}
	}
	conditions := func(types ...v1.PodConditionType) func(*v1.Pod) {
		return func(p *v1.Pod) {
			for _, c := range types {
				p.Status.Conditions = append(p.Status.Conditions, v1.PodCondition{Type: c})
			}
		}
	}
	ended := func(policy v1.RestartPolicy, code int32) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.RestartPolicy = policy
			p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c",
				State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code}}}}
		}
	}
	again := func(p *v1.Pod) {
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "c",
			State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}}
	}
	const state = "status.containerStatuses[0].state"
	changes(t, validPod, DefaultPod, ValidatePodStatusUpdate, []change[*v1.Pod]{
		{"phase", nil, func(p *v1.Pod) { p.Status.Phase = v1.PodRunning }, ""},
		{"loopback address", nil, ips("127.128.0.5"), ""},
		{"two addresses", nil, ips("10.0.0.1", "fd00::1"), ""},
		{"malformed address", nil, ips("x"), "Invalid status.podIPs[0]"},
		{"two of a family", nil, ips("10.0.0.1", "10.0.0.2"), "Invalid status.podIPs"},
		{"three addresses", nil, ips("10.0.0.1", "fd00::1", "fd00::2"), "Invalid status.podIPs"},
		{"malformed host address", nil, hosts("x"), "Invalid status.hostIPs[0]"},
		{"nominated node", nil, func(p *v1.Pod) { p.Status.NominatedNodeName = "A" }, "Invalid status.nominatedNodeName"},
		{"node", nil, func(p *v1.Pod) { p.Spec.NodeName = "n" }, "Forbidden status.nodeName"},
		{"nominated node, stored", func(p *v1.Pod) { p.Status.NominatedNodeName = "A" }, nil, ""},
		{"quality given", nil, func(p *v1.Pod) { p.Status.QOSClass = "BestEffort" }, "Invalid status.qosClass"},
		{"address twice", nil, ips("10.0.0.1", "10.0.0.1"), "Duplicate status.podIPs[1]\nInvalid status.podIPs"},
		{"host addresses of a family", nil, hosts("10.0.0.1", "10.0.0.2"), "Invalid status.hostIPs"},
		{"conditions", nil, conditions("Ready", "PodScheduled", "example.com/Warm"), ""},
		{"condition, malformed", nil, conditions("Ready", "a b"), "Invalid metadata.conditions[1].Type"},
		{"init container restarted", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Status.InitContainerStatuses = []v1.ContainerStatus{{Name: "i",
				State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{}}}}
		}, func(p *v1.Pod) { p.Status.InitContainerStatuses = []v1.ContainerStatus{{Name: "i"}} },
			"Forbidden status.initContainerStatuses[0].state"},
		{"ephemeral container restarted", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyOnFailure
			p.Status.EphemeralContainerStatuses = []v1.ContainerStatus{{Name: "e",
				State: v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: 1}}}}
		}, func(p *v1.Pod) { p.Status.EphemeralContainerStatuses = []v1.ContainerStatus{{Name: "e"}} },
			"Forbidden status.ephemeralContainerStatuses[0].state"},
		{"quality", func(p *v1.Pod) { p.Status.QOSClass = "Burstable" }, func(p *v1.Pod) { p.Status.QOSClass = "BestEffort" },
			"Invalid status.qosClass"},
		{"restarted", ended(v1.RestartPolicyAlways, 0), again, ""},
		{"restarted against Never", ended(v1.RestartPolicyNever, 1), again, "Forbidden " + state},
		{"restarted after failure", ended(v1.RestartPolicyOnFailure, 1), again, ""},
		{"restarted after success", ended(v1.RestartPolicyOnFailure, 0), again, "Forbidden " + state},
		{"restarted by a policy of its own", func(p *v1.Pod) {
			ended(v1.RestartPolicyNever, 1)(p)
			p.Spec.Containers[0].RestartPolicy = ptr(v1.ContainerRestartPolicyAlways)
		}, again, ""},
	})
}
