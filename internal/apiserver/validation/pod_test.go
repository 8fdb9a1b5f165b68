package validation

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func validPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", ResourceVersion: "1"},
		Spec: v1.PodSpec{
			Containers:     []v1.Container{{Name: "c", Image: "web:1"}},
			InitContainers: []v1.Container{{Name: "i", Image: "web:1"}},
			Volumes:        []v1.Volume{{Name: "v"}},
		},
	}
}

// first lets a row change the first container.
func first(build func(*v1.Container)) func(*v1.Pod) {
	return func(p *v1.Pod) { build(&p.Spec.Containers[0]) }
}

func quantities(name v1.ResourceName, amount string) v1.ResourceList {
	return v1.ResourceList{name: resource.MustParse(amount)}
}

func TestPodDefaults(t *testing.T) {
	pod := &v1.Pod{Spec: v1.PodSpec{
		HostNetwork: true,
		Containers: []v1.Container{{
			Image: "web",
			Ports: []v1.ContainerPort{{ContainerPort: 80}},
			Env: []v1.EnvVar{{Name: "IP",
				ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
				{Name: "F", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{}}}},
			Resources:     v1.ResourceRequirements{Limits: quantities("cpu", "1500u")},
			LivenessProbe: &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{}, GRPC: &v1.GRPCAction{}}},
			Lifecycle:     &v1.Lifecycle{PreStop: &v1.LifecycleHandler{HTTPGet: &v1.HTTPGetAction{}}},
		}},
		Volumes: []v1.Volume{{}, {VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{}}},
			{VolumeSource: v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{}}},
			{VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
				{ServiceAccountToken: &v1.ServiceAccountTokenProjection{}},
				{DownwardAPI: &v1.DownwardAPIProjection{Items: []v1.DownwardAPIVolumeFile{{FieldRef: &v1.ObjectFieldSelector{}}}}},
			}}}}},
		DeprecatedServiceAccount: "robot",
	}, Status: v1.PodStatus{PodIPs: []v1.PodIP{{IP: "10.0.0.1"}}, HostIP: "10.0.0.2",
		HostIPs: []v1.HostIP{{IP: "10.0.0.3"}}}}
	get := &v1.HTTPGetAction{Path: "/", Scheme: "HTTP"}
	cpu := quantities("cpu", "2m")
	want := &v1.Pod{Spec: v1.PodSpec{
		HostNetwork: true,
		Containers: []v1.Container{{
			Image: "web",
			Ports: []v1.ContainerPort{{ContainerPort: 80, HostPort: 80, Protocol: "TCP"}},
			Env: []v1.EnvVar{{Name: "IP", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{APIVersion: "v1",
				FieldPath: "status.podIP"}}},
				{Name: "F", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{Optional: ptr(false)}}}},
			Resources: v1.ResourceRequirements{Limits: cpu, Requests: cpu},
			LivenessProbe: &v1.Probe{ProbeHandler: v1.ProbeHandler{HTTPGet: get, GRPC: &v1.GRPCAction{Service: ptr("")}},
				TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3},
			Lifecycle:              &v1.Lifecycle{PreStop: &v1.LifecycleHandler{HTTPGet: get}},
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File", ImagePullPolicy: "Always",
		}},
		Volumes: []v1.Volume{{VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
			{VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{DefaultMode: ptr[int32](0o644)}}},
			{VolumeSource: v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Type: ptr(v1.HostPathUnset)}}},
			{VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: ptr[int32](0o644),
				Sources: []v1.VolumeProjection{
					{ServiceAccountToken: &v1.ServiceAccountTokenProjection{ExpirationSeconds: ptr[int64](3600)}},
					{DownwardAPI: &v1.DownwardAPIProjection{Items: []v1.DownwardAPIVolumeFile{{FieldRef: &v1.ObjectFieldSelector{
						APIVersion: "v1",
					}}}}},
				}}}}},
		RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler",
		SecurityContext:               &v1.PodSecurityContext{},
		TerminationGracePeriodSeconds: ptr[int64](30), EnableServiceLinks: ptr(true),
		ServiceAccountName: "robot", DeprecatedServiceAccount: "robot",
	}, Status: v1.PodStatus{PodIP: "10.0.0.1", PodIPs: []v1.PodIP{{IP: "10.0.0.1"}}, HostIP: "10.0.0.2",
		HostIPs: []v1.HostIP{{IP: "10.0.0.2"}}}}
	DefaultPod(pod)
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]v1.PullPolicy{
		"web": "Always", "web:latest": "Always", "host:5000/web": "Always", "web:1": "IfNotPresent",
		"host:5000/web:1": "IfNotPresent",
		"web@sha256:0":    "IfNotPresent", "web:latest@sha256:0": "IfNotPresent", "": "Always",
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%q: %s, want %s", image, got, want)
		}
	}
}

func TestPod(t *testing.T) {
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"valid", nil, ""},
		{"name", func(p *v1.Pod) { p.Name = "A" }, "Invalid metadata.name"},
		{"no containers", func(p *v1.Pod) { p.Spec.Containers = nil }, "Required spec.containers"},
		{"restart policy", func(p *v1.Pod) { p.Spec.RestartPolicy = "x" }, "NotSupported spec.restartPolicy"},
		{"grace", func(p *v1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr[int64](-1) }, ""},
		{"deadline", func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr[int64](0) }, "Invalid spec.activeDeadlineSeconds"},
		{"deadline, far", func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr[int64](math.MaxInt32 + 1) },
			"Invalid spec.activeDeadlineSeconds"},
		{"host name", func(p *v1.Pod) { p.Spec.Hostname = "a.b" }, "Invalid spec.hostname"},
		{"subdomain", func(p *v1.Pod) { p.Spec.Subdomain = "A" }, "Invalid spec.subdomain"},
		{"node", func(p *v1.Pod) { p.Spec.NodeName = "A" }, "Invalid spec.nodeName"},
		{"service account", func(p *v1.Pod) { p.Spec.ServiceAccountName = "A" }, "Invalid spec.serviceAccountName"},
		{"scheduler", func(p *v1.Pod) { p.Spec.SchedulerName = "A" }, ""},
		{"priority class", func(p *v1.Pod) { p.Spec.PriorityClassName = "A" }, "Invalid spec.priorityClassName"},
		{"pull secret", func(p *v1.Pod) { p.Spec.ImagePullSecrets = make([]v1.LocalObjectReference, 1) }, ""},
		{"runtime class", func(p *v1.Pod) { p.Spec.RuntimeClassName = ptr("A") }, "Invalid spec.runtimeClassName"},
		{"preemption", func(p *v1.Pod) { p.Spec.PreemptionPolicy = ptr(v1.PreemptNever) }, ""},
		{"no preemption", func(p *v1.Pod) { p.Spec.PreemptionPolicy = ptr(v1.PreemptionPolicy("")) },
			"Required spec.preemptionPolicy"},
		{"unknown preemption", func(p *v1.Pod) { p.Spec.PreemptionPolicy = ptr(v1.PreemptionPolicy("x")) },
			"NotSupported spec.preemptionPolicy"},
		{"no system", func(p *v1.Pod) { p.Spec.OS = &v1.PodOS{} }, "Required spec.os.name"},
		{"unknown system", func(p *v1.Pod) { p.Spec.OS = &v1.PodOS{Name: "plan9"} }, "NotSupported spec.os"},
		{"overhead", func(p *v1.Pod) { p.Spec.Overhead = quantities("cpu", "-1") }, "Invalid spec.overhead.limits[cpu]"},
		{"node selector", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"a b": ""} },
			"Invalid spec.nodeSelector"},
		{"DNS policy", func(p *v1.Pod) { p.Spec.DNSPolicy = "x" }, "NotSupported spec.dnsPolicy"},
		{"DNS of its own, none", func(p *v1.Pod) { p.Spec.DNSPolicy = "None" }, "Required spec.dnsConfig"},
		{"DNS of its own, without a server", func(p *v1.Pod) {
			p.Spec.DNSPolicy, p.Spec.DNSConfig = "None",
				&v1.PodDNSConfig{}
		}, "Required spec.dnsConfig.nameservers"},
		{"DNS servers", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Nameservers: slices.Repeat([]string{"10.0.0.1"}, 4)}
		}, "Invalid spec.dnsConfig.nameservers"},
		{"search paths", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Searches: []string{".", "example.com.", "_tcp.example"}}
		}, ""},
		{"search path, malformed", func(p *v1.Pod) { p.Spec.DNSConfig = &v1.PodDNSConfig{Searches: []string{"a b"}} },
			"Invalid spec.dnsConfig.searches[0]"},
		{"too many search paths", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Searches: slices.Repeat([]string{"a"},
				33)}
		}, "Invalid spec.dnsConfig.searches"},
		{"search paths too long", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Searches: slices.Repeat([]string{strings.Repeat("a.", 100) + "a"}, 11)}
		}, "Invalid spec.dnsConfig.searches"},
		{"DNS of its own", func(p *v1.Pod) {
			p.Spec.DNSConfig = &v1.PodDNSConfig{Nameservers: []string{"x"}, Options: make([]v1.PodDNSConfigOption, 1)}
		}, "Invalid spec.dnsConfig.nameservers[0]\nRequired spec.dnsConfig.options[0]"},
		{"user and group", func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr[int64](-1), RunAsGroup: ptr[int64](-1),
				FSGroup: ptr[int64](-1), SupplementalGroups: []int64{-1}}
		}, `Invalid spec.securityContext.runAsUser
			Invalid spec.securityContext.runAsGroup
			Invalid spec.securityContext.fsGroup
			Invalid spec.securityContext.supplementalGroups[0]`},
		{"toleration", func(p *v1.Pod) {
			p.Spec.Tolerations = []v1.Toleration{{Operator: "Exists"}, {Key: "a", Value: "b"}, {Key: "n", Operator: "Lt",
				Value: "5"}}
		}, ""},
		{"toleration of nothing", func(p *v1.Pod) { p.Spec.Tolerations = make([]v1.Toleration, 1) },
			"Invalid spec.tolerations[0].operator"},
		{"toleration, malformed", func(p *v1.Pod) {
			p.Spec.Tolerations = []v1.Toleration{{Key: "a b", Value: "a b", Effect: "x"}, {Key: "a", Operator: "x"},
				{Key: "a", Operator: "Exists", Value: "b"},
				{Key: "a", TolerationSeconds: ptr[int64](1)}}
		}, `Invalid spec.tolerations[0].key
			Invalid spec.tolerations[0].operator
			NotSupported spec.tolerations[0].effect
			NotSupported spec.tolerations[1].operator
			Invalid spec.tolerations[2].operator
			Invalid spec.tolerations[3].effect`},
		{"scheduling gates", func(p *v1.Pod) {
			p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "a"}, {Name: "a"},
				{}}
		},
			"Duplicate spec.schedulingGates[1]\nInvalid spec.schedulingGates[2]"},
		{"scheduling gates and a node", func(p *v1.Pod) {
			p.Spec.SchedulingGates,
				p.Spec.NodeName = []v1.PodSchedulingGate{{Name: "a"}}, "n"
		}, "Forbidden spec.nodeName"},
		{"readiness gates", func(p *v1.Pod) { p.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "a b"}} },
			"Invalid spec.readinessGates[0].conditionType"},
		{"host aliases", func(p *v1.Pod) { p.Spec.HostAliases = []v1.HostAlias{{IP: "x", Hostnames: []string{"A"}}} },
			"Invalid spec.hostAliases[0].ip\nInvalid spec.hostAliases[0].hostnames[0]"},
		{"ephemeral containers", func(p *v1.Pod) { p.Spec.EphemeralContainers = make([]v1.EphemeralContainer, 1) },
			"Forbidden spec.ephemeralContainers"},
		{"what is not used here passes", func(p *v1.Pod) {
			p.Spec.RuntimeClassName, p.Spec.Affinity, p.Spec.ShareProcessNamespace = ptr("gvisor"),
				&v1.Affinity{NodeAffinity: &v1.NodeAffinity{}}, ptr(true)
		}, ""},
	})
	bare := &v1.Pod{ObjectMeta: validPod().ObjectMeta,
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "i"}}}}
	expect(t, ValidatePod(bare), `Required spec.restartPolicy
		Required spec.dnsPolicy
		Required spec.terminationGracePeriodSeconds
		Required spec.containers[0].imagePullPolicy
		Required spec.containers[0].terminationMessagePolicy`)
}

func TestPodBinding(t *testing.T) {
	for _, kind := range []string{"", "Node"} {
		expect(t, ValidatePodBinding(&v1.Binding{Target: v1.ObjectReference{Kind: kind, Name: "n"}}), "")
	}
	expect(t, ValidatePodBinding(&v1.Binding{Target: v1.ObjectReference{Kind: "Pod"}}),
		"NotSupported target.kind\nRequired target.name")
	expect(t, ValidatePodBinding(&v1.Binding{Target: v1.ObjectReference{Name: "A"}}), "Invalid target.name")
}
