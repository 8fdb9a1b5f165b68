package validation

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestPodSecurity(t *testing.T) {
	pod := func(build func(*v1.PodSecurityContext)) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Spec.SecurityContext = &v1.PodSecurityContext{}; build(p.Spec.SecurityContext) }
	}
	seccomp := func(kind v1.SeccompProfileType, file *string) func(*v1.Pod) {
		return pod(func(s *v1.PodSecurityContext) {
			s.SeccompProfile = &v1.SeccompProfile{Type: kind, LocalhostProfile: file}
		})
	}
	armour := func(kind v1.AppArmorProfileType, name *string) func(*v1.Pod) {
		return pod(func(s *v1.PodSecurityContext) {
			s.AppArmorProfile = &v1.AppArmorProfile{Type: kind, LocalhostProfile: name}
		})
	}
	sysctls := func(names ...string) func(*v1.Pod) {
		return pod(func(s *v1.PodSecurityContext) {
			for _, name := range names {
				s.Sysctls = append(s.Sysctls, v1.Sysctl{Name: name})
			}
		})
	}
	const at = "spec.securityContext."
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"one set of processes", func(p *v1.Pod) { p.Spec.ShareProcessNamespace = ptr(true) }, ""},
		{"one set of processes with the host", func(p *v1.Pod) {
			p.Spec.ShareProcessNamespace, p.Spec.HostPID = ptr(true),
				true
		}, "Invalid " + at + "shareProcessNamespace"},
		{"users of its own", func(p *v1.Pod) { p.Spec.HostUsers = ptr(false) }, ""},
		{"users of its own in the host", func(p *v1.Pod) {
			p.Spec.HostUsers, p.Spec.HostNetwork, p.Spec.HostPID, p.Spec.HostIPC = ptr(false), true, true, true
		}, "Forbidden spec.hostNetwork\nForbidden spec.HostPID\nForbidden spec.HostIPC"},
		{"files of a group", pod(func(s *v1.PodSecurityContext) {
			s.FSGroupChangePolicy = ptr(v1.PodFSGroupChangePolicy(
				"x"))
		}), "NotSupported " + at + "fsGroupChangePolicy"},
		{"groups", pod(func(s *v1.PodSecurityContext) { s.SupplementalGroupsPolicy = ptr(v1.SupplementalGroupsPolicy("x")) }),
			"NotSupported " + at + "supplementalGroupsPolicy"},
		{"labels of files", pod(func(s *v1.PodSecurityContext) {
			s.SELinuxChangePolicy = ptr(v1.PodSELinuxChangePolicy(
				"x"))
		}), "NotSupported " + at + "seLinuxChangePolicy"},
		{"seccomp", seccomp("RuntimeDefault", nil), ""},
		{"seccomp of no type", seccomp("", nil), "Required " + at + "seccompProfile.type"},
		{"seccomp of an unknown type", seccomp("x", nil), "NotSupported " + at + "seccompProfile.type"},
		{"seccomp from a file", seccomp("Localhost", ptr("a/b.json")), ""},
		{"seccomp from no file", seccomp("Localhost", nil), "Required " + at + "seccompProfile.localhostProfile"},
		{"seccomp from above", seccomp("Localhost", ptr("../b.json")), "Invalid " + at + "seccompProfile.localhostProfile"},
		{"seccomp with a file", seccomp("Unconfined", ptr("a")), "Invalid " + at + "seccompProfile.localhostProfile"},
		{"AppArmor", armour("RuntimeDefault", nil), ""},
		{"AppArmor of no type", armour("", nil), "Required " + at + "appArmorProfile.type"},
		{"AppArmor of an unknown type", armour("x", nil), "NotSupported " + at + "appArmorProfile.type"},
		{"AppArmor by name", armour("Localhost", ptr("a")), ""},
		{"AppArmor by no name", armour("Localhost", ptr("")), "Required " + at + "appArmorProfile.localhostProfile"},
		{"AppArmor by white space", armour("Localhost", ptr(" a")), "Invalid " + at + "appArmorProfile.localhostProfile"},
		{"AppArmor by a long name", armour("Localhost", ptr(strings.Repeat("a", 4096))), "TooLong " + at +
			"appArmorProfile.localhostProfile"},
		{"AppArmor with a name", armour("Unconfined", ptr("a")), "Invalid " + at + "appArmorProfile.localhostProfile"},
		{"sysctls", sysctls("net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/rp_filter"), ""},
		{"sysctl without a name", sysctls(""), "Required " + at + "sysctls[0].name"},
		{"sysctl, malformed", sysctls("A.b"), "Invalid " + at + "sysctls[0].name"},
		{"sysctl, too long", sysctls(strings.Repeat("a", 254)), "Invalid " + at + "sysctls[0].name"},
		{"sysctl twice", sysctls("kernel.sem", "kernel.sem"), "Duplicate " + at + "sysctls[1].name"},
		{"sysctl of the host's network", func(p *v1.Pod) {
			sysctls("net.core.somaxconn",
				"kernel.sem")(p)
			p.Spec.HostNetwork = true
		}, "Invalid " + at + "sysctls[0].name"},
		{"sysctl of the host's IPC", func(p *v1.Pod) {
			sysctls("net.core.somaxconn",
				"kernel.sem")(p)
			p.Spec.HostIPC = true
		}, "Invalid " + at + "sysctls[1].name"},
	})
}

func TestContainerSecurity(t *testing.T) {
	may := func(build func(*v1.SecurityContext)) func(*v1.Pod) {
		return first(func(c *v1.Container) { c.SecurityContext = &v1.SecurityContext{}; build(c.SecurityContext) })
	}
	const at = "spec.containers[0].securityContext"
	rules(t, validPod, DefaultPod, ValidatePod, []rule[*v1.Pod]{
		{"proc", may(func(s *v1.SecurityContext) { s.ProcMount = ptr(v1.DefaultProcMount) }), ""},
		{"unknown proc", may(func(s *v1.SecurityContext) { s.ProcMount = ptr(v1.ProcMountType("x")) }), "NotSupported " + at +
			".procMount"},
		{"bare proc", may(func(s *v1.SecurityContext) { s.ProcMount = ptr(v1.UnmaskedProcMount) }), "Invalid " + at +
			".procMount"},
		{"bare proc of its own users", func(p *v1.Pod) {
			p.Spec.HostUsers = ptr(false)
			may(func(s *v1.SecurityContext) { s.ProcMount = ptr(v1.UnmaskedProcMount) })(p)
		}, ""},
		{"privilege", may(func(s *v1.SecurityContext) { s.Privileged = ptr(true) }), ""},
		{"privilege, and no more of it", may(func(s *v1.SecurityContext) {
			s.Privileged,
				s.AllowPrivilegeEscalation = ptr(true), ptr(false)
		}), "Invalid " + at},
		{"administrator, and no more", may(func(s *v1.SecurityContext) {
			s.AllowPrivilegeEscalation, s.Capabilities = ptr(false), &v1.Capabilities{Add: []v1.Capability{"CAP_SYS_ADMIN"}}
		}), "Invalid " + at},
		{"seccomp", may(func(s *v1.SecurityContext) { s.SeccompProfile = &v1.SeccompProfile{} }), "Required " + at +
			".seccompProfile.type"},
		{"AppArmor", may(func(s *v1.SecurityContext) { s.AppArmorProfile = &v1.AppArmorProfile{} }), "Required " + at +
			".appArmorProfile.type"},
	})
}
