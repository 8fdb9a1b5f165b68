package validation

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestContainers(t *testing.T) {
	ports := func(list ...v1.ContainerPort) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Ports = list })
	}
	const at = "spec.containers[0]."
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"no name", first(func(c *v1.Container) { c.Name = "" }), "Required " + at + "name"},
		{"name", first(func(c *v1.Container) { c.Name = "A" }), "Invalid " + at + "name"},
		{"name twice", func(p *v1.Pod) { p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0]) },
			"Duplicate spec.containers[1].name"},
		{"name of another kind", func(p *v1.Pod) { p.Spec.InitContainers[0].Name = "c" },
			"Duplicate spec.initContainers[0].name"},
		{"no image", first(func(c *v1.Container) { c.Image = "" }), "Required " + at + "image"},
		{"image", first(func(c *v1.Container) { c.Image = " web" }), "Invalid " + at + "image"},
		{"pull policy", first(func(c *v1.Container) { c.ImagePullPolicy = "x" }), "NotSupported " + at + "imagePullPolicy"},
		{"message policy", first(func(c *v1.Container) { c.TerminationMessagePolicy = "x" }), "NotSupported " + at +
			"terminationMessagePolicy"},
		{"restart policy", first(func(c *v1.Container) { c.RestartPolicy = ptr(v1.ContainerRestartPolicy("x")) }),
			"NotSupported " + at + "restartPolicy"},
		{"ports", ports(v1.ContainerPort{Name: "a", ContainerPort: 80}, v1.ContainerPort{ContainerPort: 80, Protocol: "UDP"}),
			""},
		{"port name", ports(v1.ContainerPort{Name: "A", ContainerPort: 80}), "Invalid " + at + "ports[0].name"},
		{"port name twice", ports(v1.ContainerPort{Name: "a", ContainerPort: 80}, v1.ContainerPort{Name: "a",
			ContainerPort: 81}), "Duplicate " + at + "ports[1].name"},
		{"port 0", ports(v1.ContainerPort{}), "Required " + at + "ports[0].containerPort"},
		{"port too large", ports(v1.ContainerPort{ContainerPort: 65536}), "Invalid " + at + "ports[0].containerPort"},
		{"port protocol", ports(v1.ContainerPort{ContainerPort: 1, Protocol: "x"}), "NotSupported " + at +
			"ports[0].protocol"},
		{"host IP", ports(v1.ContainerPort{ContainerPort: 1, HostIP: "x"}), ""},
		{"host port", ports(v1.ContainerPort{ContainerPort: 1, HostPort: 65536}), "Invalid " + at + "ports[0].hostPort"},
		{"host port twice", ports(v1.ContainerPort{ContainerPort: 1, HostPort: 9}, v1.ContainerPort{ContainerPort: 2,
			HostPort: 9}), "Duplicate " + at + "ports[1].hostPort"},
		{"host network of an init container", func(p *v1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.InitContainers[0].Ports = []v1.ContainerPort{{ContainerPort: 1, HostPort: 2}}
		}, ""},
		{"host port of two containers", func(p *v1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, v1.Container{Name: "d", Image: "i",
				Ports: []v1.ContainerPort{{ContainerPort: 2, HostPort: 9}}})
			ports(v1.ContainerPort{ContainerPort: 1, HostPort: 9})(p)
		}, "Duplicate spec.containers[1].ports[0].hostPort"},
		{"host network", func(p *v1.Pod) {
			p.Spec.HostNetwork = true
			ports(v1.ContainerPort{ContainerPort: 1, HostPort: 2})(p)
		}, "Invalid " + at + "ports[0].hostPort"},
		{"limit", first(func(c *v1.Container) { c.Resources.Limits = quantities("cpu", "-1") }), "Invalid " + at +
			"resources.limits[cpu]\nInvalid " + at + "resources.requests[cpu]"},
		{"request above the limit", first(func(c *v1.Container) {
			c.Resources = v1.ResourceRequirements{Limits: quantities("cpu", "1"), Requests: quantities("cpu", "2")}
		}), "Invalid " + at + "resources.requests"},
		{"user and group", first(func(c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{RunAsUser: ptr[int64](-1), RunAsGroup: ptr[int64](-1)}
		}), "Invalid " + at + "securityContext.runAsUser\nInvalid " + at + "securityContext.runAsGroup"},
		{"init container with probes", func(p *v1.Pod) {
			p.Spec.InitContainers[0].LivenessProbe, p.Spec.InitContainers[0].ReadinessProbe = &v1.Probe{}, &v1.Probe{}
			p.Spec.InitContainers[0].StartupProbe, p.Spec.InitContainers[0].Lifecycle = &v1.Probe{}, &v1.Lifecycle{}
		}, `Forbidden spec.initContainers[0].livenessProbe
			Forbidden spec.initContainers[0].readinessProbe
			Forbidden spec.initContainers[0].startupProbe
			Forbidden spec.initContainers[0].lifecycle`},
		{"sidecar with a probe", func(p *v1.Pod) {
			p.Spec.InitContainers[0].RestartPolicy = ptr(v1.ContainerRestartPolicyAlways)
			p.Spec.InitContainers[0].ReadinessProbe = &v1.Probe{}
		}, "Required spec.initContainers[0].readinessProbe"},
	})
}

func TestEnv(t *testing.T) {
	from := func(source v1.EnvVarSource) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Env = []v1.EnvVar{{Name: "A", ValueFrom: &source}} })
	}
	ref := func(path string) func(*v1.Pod) {
		return from(v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}})
	}
	all := func(source v1.EnvFromSource) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.EnvFrom = []v1.EnvFromSource{source} })
	}
	name := v1.LocalObjectReference{Name: "x"}
	const at, fieldPath = "spec.containers[0].env[0].valueFrom", "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"value", first(func(c *v1.Container) { c.Env = []v1.EnvVar{{Name: "any.name-1", Value: "$(A)"}} }), ""},
		{"no name", first(func(c *v1.Container) { c.Env = []v1.EnvVar{{Value: "b"}} }),
			"Required spec.containers[0].env[0].name"},
		{"name", first(func(c *v1.Container) { c.Env = []v1.EnvVar{{Name: "a=b"}} }),
			"Invalid spec.containers[0].env[0].name"},
		{"value and source", first(func(c *v1.Container) {
			c.Env = []v1.EnvVar{{Name: "A", Value: "b",
				ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"}}}}
		}), "Invalid " + at},
		{"no source", from(v1.EnvVarSource{}), "Invalid " + at},
		{"two sources", from(v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "status.podIP"},
			ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu"}}),
			"Invalid " + at},
		{"field", ref("status.podIP"), ""},
		{"label", ref("metadata.labels['app']"), ""},
		{"annotation", ref("metadata.annotations['Example.com/A']"), ""},
		{"no field", ref(""), "Required " + fieldPath},
		{"unknown field", ref("spec.containers"), "Invalid " + fieldPath},
		{"field that changes", ref("status.phase"), "NotSupported " + fieldPath},
		{"all labels", ref("metadata.labels"), "NotSupported " + fieldPath},
		{"label, malformed", ref("metadata.labels['a b']"), "Invalid " + at + ".fieldRef"},
		{"annotation, malformed", ref("metadata.annotations['a b']"), "Invalid " + at + ".fieldRef"},
		{"entry of what has none", ref("spec.nodeName['a']"), "Invalid " + fieldPath},
		{"field of another version", from(v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{APIVersion: "v2",
			FieldPath: "status.podIP"}}), "Invalid " + fieldPath},
		{"resource", from(v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{}}), "Required " + at +
			".resourceFieldRef.resource"},
		{"unknown resource", from(v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.gpu"}}),
			"NotSupported " + at + ".resourceFieldRef.resource"},
		{"huge pages", from(v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.hugepages-2Mi",
			Divisor: resource.MustParse("1Ki")}}), ""},
		{"cpu in mebis", from(v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu",
			Divisor: resource.MustParse("1Mi")}}),
			"Invalid " + at + ".resourceFieldRef.divisor"},
		{"memory in mebis", from(v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.memory",
			Divisor: resource.MustParse("1Mi")}}), ""},
		{"config map key", from(v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{}}), "Invalid " + at +
			".configMapKeyRef.name\nRequired " + at + ".configMapKeyRef.key"},
		{"secret key", from(v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: name, Key: "a b"}}),
			"Invalid " + at + ".secretKeyRef.key"},
		{"a whole map", all(v1.EnvFromSource{Prefix: "P_", ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: name}}),
			""},
		{"of nothing", all(v1.EnvFromSource{}), "Invalid spec.containers[0].envFrom"},
		{"of what cannot be",
			all(v1.EnvFromSource{SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "A"}}}),
			"Invalid spec.containers[0].envFrom[0].secretRef.name"},
		{"of two", all(v1.EnvFromSource{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: name},
			SecretRef: &v1.SecretEnvSource{}}),
			"Invalid spec.containers[0].envFrom\nRequired spec.containers[0].envFrom[0].secretRef.name"},
		{"prefix", all(v1.EnvFromSource{Prefix: "=", ConfigMapRef: &v1.ConfigMapEnvSource{}}),
			"Invalid spec.containers[0].envFrom[0].prefix\nRequired spec.containers[0].envFrom[0].configMapRef.name"},
	})
	expect(t, fieldRef(&v1.ObjectFieldSelector{}, envFields, field.NewPath("ref")), "Required ref.apiVersion")
}

func TestProbes(t *testing.T) {
	tcp := &v1.TCPSocketAction{Port: intstr.FromInt32(80)}
	ready := func(p v1.Probe) func(*v1.Pod) { return first(func(c *v1.Container) { c.ReadinessProbe = &p }) }
	by := func(h v1.ProbeHandler) func(*v1.Pod) { return ready(v1.Probe{ProbeHandler: h}) }
	before := func(h v1.LifecycleHandler) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Lifecycle = &v1.Lifecycle{PreStop: &h} })
	}
	const at, stop = "spec.containers[0].readinessProbe", "spec.containers[0].lifecycle.preStop"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"exec", by(v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}), ""},
		{"http", by(v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Port: intstr.FromString("http")}}), ""},
		{"tcp", by(v1.ProbeHandler{TCPSocket: tcp}), ""},
		{"grpc", by(v1.ProbeHandler{GRPC: &v1.GRPCAction{Port: 80}}), ""},
		{"none", by(v1.ProbeHandler{}), "Required " + at},
		{"two", by(v1.ProbeHandler{TCPSocket: tcp, GRPC: &v1.GRPCAction{Port: 80}}), "Forbidden " + at + ".grpc"},
		{"exec of nothing", by(v1.ProbeHandler{Exec: &v1.ExecAction{}}), "Required " + at + ".exec.command"},
		{"http, malformed", by(v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Port: intstr.FromInt32(0), Scheme: "x",
			HTTPHeaders: []v1.HTTPHeader{{Name: "a b"}}}}),
			"Invalid " + at + ".httpGet.port\nNotSupported " + at + ".httpGet.scheme\nInvalid " + at + ".httpGet.httpHeaders"},
		{"tcp port", by(v1.ProbeHandler{TCPSocket: &v1.TCPSocketAction{Port: intstr.FromString("80")}}), "Invalid " + at +
			".tcpSocket.port"},
		{"grpc port", by(v1.ProbeHandler{GRPC: &v1.GRPCAction{}}), "Invalid " + at + ".grpc.port"},
		{"negative numbers", ready(v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: tcp}, InitialDelaySeconds: -1,
			TimeoutSeconds: -1, PeriodSeconds: -1, SuccessThreshold: -1, FailureThreshold: -1}),
			"Invalid " + at + ".initialDelaySeconds\nInvalid " + at + ".timeoutSeconds\nInvalid " + at +
				".periodSeconds\nInvalid " + at + ".successThreshold\nInvalid " + at + ".failureThreshold"},
		{"two successes", ready(v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: tcp}, SuccessThreshold: 2}), ""},
		{"two successes to live", first(func(c *v1.Container) {
			c.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: tcp}, SuccessThreshold: 2}
			c.StartupProbe = c.LivenessProbe.DeepCopy()
		}), "Invalid spec.containers[0].livenessProbe.successThreshold\nInvalid " +
			"spec.containers[0].startupProbe.successThreshold"},
		{"grace to be ready", ready(v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: tcp},
			TerminationGracePeriodSeconds: ptr[int64](1)}),
			"Invalid " + at + ".terminationGracePeriodSeconds"},
		{"no grace", first(func(c *v1.Container) {
			c.LivenessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{TCPSocket: tcp},
				TerminationGracePeriodSeconds: ptr[int64](0)}
		}), "Invalid spec.containers[0].livenessProbe.terminationGracePeriodSeconds"},
		{"hook", before(v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}), ""},
		{"hook of nothing", before(v1.LifecycleHandler{}), "Required " + stop},
		{"two hooks", before(v1.LifecycleHandler{HTTPGet: &v1.HTTPGetAction{Port: intstr.FromInt32(1)},
			Sleep: &v1.SleepAction{}}), "Forbidden " + stop + ".sleep"},
		{"hook that sleeps", before(v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 30}}), ""},
		{"hook that sleeps too long", before(v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 31}}), "Invalid " + stop +
			".sleep"},
		{"hook to a bad port", before(v1.LifecycleHandler{TCPSocket: &v1.TCPSocketAction{}}), "Invalid " + stop +
			".tcpSocket.port"},
	})
	expect(t, httpGet(&v1.HTTPGetAction{Port: intstr.FromInt32(1), Scheme: "HTTP"}, field.NewPath("get")),
		"Required get.path")
}
