package validation

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodWarnings(t *testing.T) {
	annotated := func(key string) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Annotations = map[string]string{key: "x"} }
	}
	env := func(vars ...v1.EnvVar) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Env = vars })
	}
	ports := func(ports ...v1.ContainerPort) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.Ports = ports })
	}
	volume := func(source v1.VolumeSource) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Spec.Volumes[0].VolumeSource = source }
	}
	aliased := func(ips ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			for _, ip := range ips {
				p.Spec.HostAliases = append(p.Spec.HostAliases, v1.HostAlias{IP: ip})
			}
		}
	}
	pulled := func(names ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			for _, name := range names {
				p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, v1.LocalObjectReference{Name: name})
			}
		}
	}
	term := v1.PodAffinityTerm{TopologyKey: "zone"}
	const c = "spec.containers[0]."
	for _, tt := range []struct {
		name  string
		build func(*v1.Pod)
		want  string // what the one warning begins with; empty for none
	}{
		{"nothing to say", nil, ""},
		{"name", func(p *v1.Pod) { p.Name = "a.b" }, "metadata.name: "},
		{"annotation", annotated("scheduler.alpha.kubernetes.io/critical-pod"),
			"metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: "},
		{"annotation of a container", annotated("container.seccomp.security.alpha.kubernetes.io/c"),
			"metadata.annotations[container.seccomp"},
		{"custom annotation", annotated("example.com/a"), ""},
		{"alias twice", aliased("10.0.0.1", "10.0.0.2", "10.0.0.1"), "spec.hostAliases[2].ip: "},
		{"secret twice", pulled("a", "a"), "spec.imagePullSecrets[1].name: "},
		{"secret without a name", pulled(""), "spec.imagePullSecrets[0].name: "},
		{"volume of old", volume(v1.VolumeSource{GitRepo: &v1.GitRepoVolumeSource{}}), "spec.volumes[0].gitRepo: "},
		{"volume of no use", volume(v1.VolumeSource{Glusterfs: &v1.GlusterfsVolumeSource{}}), "spec.volumes[0].glusterfs: "},
		{"variable twice", env(v1.EnvVar{Name: "A"}, v1.EnvVar{Name: "A", Value: "x"}), c + "env[1]: "},
		{"variable from itself", env(v1.EnvVar{Name: "A"}, v1.EnvVar{Name: "A", Value: "$(A)"}), c + "env[1]: "},
		{"variable from elsewhere", env(v1.EnvVar{Name: "A"}, v1.EnvVar{Name: "A", ValueFrom: &v1.EnvVarSource{}}),
			c + "env[1]: "},
		{"variable made of another", env(v1.EnvVar{Name: "A"}, v1.EnvVar{Name: "A", Value: "$(A):/b"}), ""},
		{"part of a byte", first(func(c *v1.Container) { c.Resources.Limits = quantities("memory", "500m") }),
			c + "resources.limits[memory]: "},
		{"part of a cpu", first(func(c *v1.Container) { c.Resources.Limits = quantities("cpu", "500m") }), ""},
		{"part of a byte above", func(p *v1.Pod) { p.Spec.Overhead = quantities("memory", "500m") },
			"spec.overhead[memory]: "},
		{"host address without a port", ports(v1.ContainerPort{ContainerPort: 80, HostIP: "10.0.0.1"}), c + "ports[0]: "},
		{"port twice", ports(v1.ContainerPort{ContainerPort: 80}, v1.ContainerPort{ContainerPort: 80}),
			c + "ports[1]: is the same"},
		{"port of two protocols", ports(v1.ContainerPort{ContainerPort: 80, Protocol: "TCP"},
			v1.ContainerPort{ContainerPort: 80, Protocol: "UDP"}), ""},
		{"port of the host and not", ports(v1.ContainerPort{ContainerPort: 80, HostPort: 80},
			v1.ContainerPort{ContainerPort: 80}), c + "ports[1]: overlaps"},
		{"port of the host everywhere", ports(v1.ContainerPort{ContainerPort: 80, HostPort: 80, HostIP: "10.0.0.1"},
			v1.ContainerPort{ContainerPort: 80, HostPort: 80}), c + "ports[1]: takes"},
		{"port of the host in two places", ports(v1.ContainerPort{ContainerPort: 80, HostPort: 80, HostIP: "10.0.0.1"},
			v1.ContainerPort{ContainerPort: 80, HostPort: 80, HostIP: "10.0.0.2"}), ""},
		{"grace", func(p *v1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr[int64](-1) },
			"spec.terminationGracePeriodSeconds: "},
		{"spread by no selector", func(p *v1.Pod) {
			p.Spec.TopologySpreadConstraints = make([]v1.TopologySpreadConstraint,
				1)
		},
			"spec.topologySpreadConstraints[0].labelSelector: "},
		{"near by no selector", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term},
			}}
		}, "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: "},
		{"far by no selector", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{PodAffinityTerm: term}}}}
		}, "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: "},
		{"far by a selector", func(p *v1.Pod) {
			chosen := v1.PodAffinityTerm{LabelSelector: &metav1.LabelSelector{}}
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{chosen},
			}}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := validPod()
			apply(tt.build, pod)
			got := PodWarnings(pod, nil)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("warnings %q, want one that begins with %q", got, tt.want)
			}
			if got := PodWarnings(pod, validPod()); got != nil {
				t.Errorf("warnings on an update: %q", got)
			}
		})
	}
}

func TestPodStatusWarnings(t *testing.T) {
	pod := validPod()
	pod.Status.PodIPs = []v1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00:0::1"}}
	pod.Status.HostIPs = []v1.HostIP{{IP: "10.0.0.01"}}
	got := PodStatusWarnings(pod, pod)
	if len(got) != 2 || !strings.HasPrefix(got[0], "status.podIPs[1].ip: ") || !strings.HasPrefix(got[1],
		"status.hostIPs[0].ip: ") {
		t.Errorf("warnings %q", got)
	}
}
