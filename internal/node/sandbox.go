package node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/network"
)

// rangesOf are the ranges Pods get their addresses from, the primary first.
func rangesOf(o Options) []*addresses {
	list := []*addresses{newAddresses(o.PodCIDR)}
	if o.Network != nil && o.SecondPodCIDR.IsValid() {
		list = append(list, newAddresses(o.SecondPodCIDR))
	}
	return list
}

// hadAddresses are the addresses of each range that the Pod's status names; invalid where it names none.
func (a *Agent) hadAddresses(pod *v1.Pod) []netip.Addr {
	had := make([]netip.Addr, len(a.addresses))
	if pod.Spec.HostNetwork {
		return had
	}
	for _, one := range pod.Status.PodIPs {
		ip, err := netip.ParseAddr(one.IP)
		for i := range a.addresses {
			if err == nil && a.addresses[i].cidr.Contains(ip) {
				had[i] = ip
			}
		}
	}
	return had
}

// hasNetwork sees to it that the Pod has its addresses, and namespaces if it gets any. If that cannot be it says so,
// and is to be asked again later.
func (w *worker) hasNetwork(ctx context.Context) bool {
	if w.spawner != nil {
		return true
	}
	if w.pod.Spec.HostNetwork {
		w.ips, w.spawner = []netip.Addr{w.agent.opts.HostIP}, w.agent.spawner
		return true
	}
	ips, err := w.claimAddresses()
	if err == nil {
		err = w.enterNetwork(ctx, ips)
	}
	if err != nil {
		w.again = time.Now().Add(w.agent.opts.Backoff)
		w.event(nil, v1.EventTypeWarning, "FailedCreatePodSandBox", err.Error())
		return false
	}
	w.ips = ips
	return true
}

func (w *worker) claimAddresses() (ips []netip.Addr, err error) {
	for i, had := range w.agent.hadAddresses(w.pod) {
		ip, err := w.agent.addresses[i].claim(w.uid, had)
		if err != nil {
			return nil, err
		}
		ips = append(ips, ip)
	}
	return ips, nil
}

// enterNetwork gives the Pod a spawner: the agent's, or where Pods have namespaces one that lives in the Pod's.
func (w *worker) enterNetwork(ctx context.Context, ips []netip.Addr) error {
	pods := w.agent.opts.Network
	if pods == nil {
		w.spawner = w.agent.spawner
		return nil
	}
	box, err := w.sandbox(ips)
	if err != nil {
		return err
	}
	own := newSpawner(func() error { return pods.Enter(box) })
	life, end := context.WithCancel(ctx)
	entered := make(chan error, 1)
	go own.run(life, entered)
	err = <-entered
	if err == nil {
		err = pods.PublishPorts(string(w.uid), hostPortsOf(w.pod, ips))
	}
	if err != nil {
		end()
		<-own.gone
		return err
	}
	w.spawner = own
	w.leaveNetwork = func() {
		if err := pods.WithdrawPorts(string(w.uid)); err != nil {
			w.log.Warn("withdrawing the pod's ports", "err", err)
		}
		end()
		<-own.gone
		w.leaveNetwork = func() {}
	}
	return nil
}

// sandbox writes the Pod's own files and says what its namespaces are to be.
func (w *worker) sandbox(ips []netip.Addr) (network.Sandbox, error) {
	dir := filepath.Join(w.agent.opts.DataDir, "pods", string(w.uid))
	if !filepath.IsLocal(string(w.uid)) {
		return network.Sandbox{}, fmt.Errorf("pod %q: not fit to be the name of a directory", w.uid)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return network.Sandbox{}, fmt.Errorf("making the pod's directory: %w", err)
	}
	host, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		host = nil // none: what the Pod says is all there is
	}
	box := network.Sandbox{
		UID: string(w.uid), Addrs: ips, Hostname: hostnameOf(w.pod), Hosts: filepath.Join(dir, "hosts"),
		Resolv: filepath.Join(dir, "resolv.conf"),
	}
	for path, text := range map[string]string{box.Hosts: hostsFile(w.pod, ips), box.Resolv: resolvConf(w.pod,
		string(host))} {
		// Readable for everybody: the Pod's processes may be anybody. The directory keeps others out.
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return box, fmt.Errorf("writing the pod's files: %w", err)
		}
	}
	return box, nil
}

// hostPortsOf lists the ports of the host that lead to the Pod.
func hostPortsOf(pod *v1.Pod, ips []netip.Addr) (list []network.HostPort) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.HostPort < 1 || p.HostPort > 65535 || p.ContainerPort < 1 || p.ContainerPort > 65535 {
				continue
			}
			list = append(list, network.HostPort{Proto: protoNumber(p.Protocol), Host: uint16(p.HostPort),
				Pod: uint16(p.ContainerPort), PodAddrs: ips})
		}
	}
	return list
}

func protoNumber(p v1.Protocol) uint8 {
	switch p {
	case v1.ProtocolUDP:
		return unix.IPPROTO_UDP
	case v1.ProtocolSCTP:
		return unix.IPPROTO_SCTP
	}
	return unix.IPPROTO_TCP
}

func texts(ips []netip.Addr) (list []string) {
	for _, ip := range ips {
		list = append(list, ip.String())
	}
	return list
}
