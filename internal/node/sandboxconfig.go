package node

import (
	"net/netip"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/runtime"
)

// sandboxConfig says what the containers of a Pod share. hostResolvConf is the content of the host's /etc/resolv.conf.
func sandboxConfig(pod *v1.Pod, ips []netip.Addr, hostResolvConf string) runtime.PodSandboxConfig {
	return runtime.PodSandboxConfig{
		UID: string(pod.UID), Hostname: hostnameOf(pod), HostNetwork: pod.Spec.HostNetwork, Addrs: ips,
		PortMappings: portMappings(pod), Hosts: hostsFile(pod, ips), ResolvConf: resolvConf(pod, hostResolvConf),
	}
}

// portMappings lists the ports of the host that lead to the Pod.
func portMappings(pod *v1.Pod) (list []runtime.PortMapping) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if isPort(p.HostPort) && isPort(p.ContainerPort) {
				list = append(list, runtime.PortMapping{Protocol: protocolNumber(p.Protocol), HostPort: uint16(p.HostPort),
					PodPort: uint16(p.ContainerPort)})
			}
		}
	}
	return list
}

func isPort(n int32) bool { return n >= 1 && n <= 65535 }

func protocolNumber(p v1.Protocol) uint8 {
	switch p {
	case v1.ProtocolUDP:
		return unix.IPPROTO_UDP
	case v1.ProtocolSCTP:
		return unix.IPPROTO_SCTP
	default:
		return unix.IPPROTO_TCP
	}
}

// containerConfig says what to run for container c of the Pod. env holds the variables of the container.
func containerConfig(pod *v1.Pod, c *v1.Container, attempt int32, env environment) runtime.ContainerConfig {
	return runtime.ContainerConfig{
		Name: c.Name, Image: c.Image, Attempt: attempt, Command: expandAll(c.Command, env), Args: expandAll(c.Args, env),
		Env: env.list(), WorkingDir: c.WorkingDir, User: userOf(pod, c),
	}
}

// userOf gives the user that a container asks for: what its own securityContext leaves open, the Pod's says.
func userOf(pod *v1.Pod, c *v1.Container) runtime.User {
	var user runtime.User
	var nonRoot *bool
	if sc := pod.Spec.SecurityContext; sc != nil {
		user.UID, user.GID, nonRoot = sc.RunAsUser, sc.RunAsGroup, sc.RunAsNonRoot
	}
	if sc := c.SecurityContext; sc != nil {
		user.UID, user.GID = or(sc.RunAsUser, user.UID), or(sc.RunAsGroup, user.GID)
		nonRoot = or(sc.RunAsNonRoot, nonRoot)
	}
	user.NonRoot = isTrue(nonRoot)
	return user
}

// or gives a, or b if a is nil.
func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}
