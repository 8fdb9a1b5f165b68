package node

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/runtime"
)

func TestUserOf(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	yes, no := true, false
	for _, tt := range []struct {
		name string
		pod  *v1.PodSecurityContext
		c    *v1.SecurityContext
		want runtime.User
	}{
		{name: "neither says"},
		{"the pod's", &v1.PodSecurityContext{RunAsUser: id(3), RunAsGroup: id(4), RunAsNonRoot: &yes}, nil,
			runtime.User{UID: id(3), GID: id(4), NonRoot: true}},
		{"the container's over the pod's", &v1.PodSecurityContext{RunAsUser: id(3), RunAsGroup: id(4), RunAsNonRoot: &yes},
			&v1.SecurityContext{RunAsUser: id(5), RunAsNonRoot: &no}, runtime.User{UID: id(5), GID: id(4)}},
		{"the container's alone", nil, &v1.SecurityContext{RunAsGroup: id(6)}, runtime.User{GID: id(6)}},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{SecurityContext: tt.pod}}
		if diff := cmp.Diff(tt.want, userOf(pod, &v1.Container{SecurityContext: tt.c})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestContainerConfig(t *testing.T) {
	c := &v1.Container{Name: "main", Image: "x", Command: []string{"run", "$(A)"}, Args: []string{"--to=$(B)", "$(NONE)"},
		WorkingDir: "/srv"}
	got := containerConfig(&v1.Pod{}, c, 3, environment{"B": "2", "A": "1"})
	want := runtime.ContainerConfig{Name: "main", Image: "x", Attempt: 3, Command: []string{"run", "1"},
		Args: []string{"--to=2", "$(NONE)"}, Env: []string{"A=1", "B=2"}, WorkingDir: "/srv"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSandboxConfig(t *testing.T) {
	pod := shell("web", "")
	pod.Spec.Containers[0].Ports = []v1.ContainerPort{
		{ContainerPort: 80, HostPort: 8080}, {ContainerPort: 53, HostPort: 5353, Protocol: v1.ProtocolUDP},
		{ContainerPort: 81}, {ContainerPort: 82, HostPort: 70000},
	}
	ips := []netip.Addr{netip.MustParseAddr("10.0.0.7")}
	got := sandboxConfig(pod, ips, "nameserver 192.0.2.1\n")
	want := runtime.PodSandboxConfig{UID: "uid-web", Hostname: "web", Addrs: ips, Hosts: hostsFile(pod, ips),
		ResolvConf: "nameserver 192.0.2.1\n", PortMappings: []runtime.PortMapping{
			{Protocol: 6, HostPort: 8080, PodPort: 80}, {Protocol: 17, HostPort: 5353, PodPort: 53}}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
