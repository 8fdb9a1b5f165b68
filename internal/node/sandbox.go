package node

import (
	"context"
	"net/netip"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/runtime"
)

// podNetwork gives the addresses of Pods: one of each range.
type podNetwork []*addresses // the primary range first

func newPodNetwork(o Options) podNetwork {
	list := podNetwork{newAddresses(o.PodCIDR)}
	if o.SecondPodCIDR.IsValid() {
		list = append(list, newAddresses(o.SecondPodCIDR))
	}
	return list
}

// statusAddresses are the addresses of each range that the Pod's status names; invalid where it names none.
func (n podNetwork) statusAddresses(pod *v1.Pod) []netip.Addr {
	found := make([]netip.Addr, len(n))
	if pod.Spec.HostNetwork {
		return found
	}
	for _, podIP := range pod.Status.PodIPs {
		ip, err := netip.ParseAddr(podIP.IP)
		for i := range n {
			if err == nil && n[i].cidr.Contains(ip) {
				found[i] = ip
			}
		}
	}
	return found
}

// claim gives the Pod an address of each range: those of its status, if no other Pod has them.
func (n podNetwork) claim(pod *v1.Pod) (ips []netip.Addr, err error) {
	for i, had := range n.statusAddresses(pod) {
		ip, err := n[i].claim(pod.UID, had)
		if err != nil {
			return nil, err
		}
		ips = append(ips, ip)
	}
	return ips, nil
}

// A podSandbox is a worker's side of the sandbox of its Pod.
type podSandbox struct {
	ips     []netip.Addr       // the primary first; empty: none yet
	sandbox runtime.PodSandbox // nil: there is none
}

// ensureSandbox gives the Pod its addresses and its sandbox, and reports whether it has them. If it has not, an event
// says why, and the next try is due after the back-off.
func (w *worker) ensureSandbox(ctx context.Context) bool {
	if w.sandbox != nil {
		return true
	}
	ips, err := w.claimAddresses()
	var sandbox runtime.PodSandbox
	if err == nil {
		sandbox, err = w.agent.opts.Runtime.RunPodSandbox(ctx, sandboxConfig(w.pod, ips, hostResolvConf()))
	}
	if err != nil {
		w.due.again = time.Now().Add(w.agent.opts.Backoff)
		w.event(nil, v1.EventTypeWarning, "FailedCreatePodSandBox", err.Error())
		return false
	}
	w.podSandbox = podSandbox{ips: ips, sandbox: sandbox}
	return true
}

func (w *worker) claimAddresses() ([]netip.Addr, error) {
	if w.pod.Spec.HostNetwork {
		return []netip.Addr{w.agent.opts.HostIP}, nil
	}
	return w.agent.network.claim(w.pod)
}

// closeSandbox gives up the Pod's sandbox, if it has one.
func (w *worker) closeSandbox() {
	if w.sandbox == nil {
		return
	}
	if err := w.sandbox.Close(); err != nil {
		w.log.Warn("closing the sandbox of a pod", "err", err)
	}
	w.sandbox = nil
}

// hostResolvConf is the host's /etc/resolv.conf; empty if it has none.
func hostResolvConf() string {
	raw, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return ""
	}
	return string(raw)
}

func texts(ips []netip.Addr) (list []string) {
	for _, ip := range ips {
		list = append(list, ip.String())
	}
	return list
}
