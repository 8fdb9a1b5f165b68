package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	heartbeat    = time.Minute            // between two writes of the Node's status
	registration = 200 * time.Millisecond // the first pause between two tries to register the Node
	maxPods      = "110"                  // what a kubelet allows by default
)

// registered registers the Node, and tries until it succeeds: the API server may come up after the agent. The error is
// that of ctx.
func (a *Agent) registered(ctx context.Context) error {
	wait := registration
	for {
		err := a.register(ctx, v1.ConditionTrue, "AgentReady", "viaduct's agent runs")
		if err == nil {
			a.opts.Log.Info("node registered", "node", a.opts.NodeName, "address", a.opts.HostIP)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.opts.Log.Warn("registering the node, will try again", "err", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// keepNode renews the Node's status every minute, and creates the Node again if it was deleted.
func (a *Agent) keepNode(ctx context.Context) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := a.register(ctx, v1.ConditionTrue, "AgentReady", "viaduct's agent runs"); err != nil && ctx.Err() == nil {
			a.opts.Log.Warn("writing the node's status", "err", err)
		}
	}
}

// markNotReady writes that the Node is no longer ready. Without it, readers would learn it from the Lease, forty
// seconds later.
func (a *Agent) markNotReady(ctx context.Context) {
	if err := a.register(ctx, v1.ConditionFalse, "NodeShutdown", "viaduct's agent was stopped"); err != nil {
		a.opts.Log.Warn("marking the node as not ready", "err", err)
	}
}

// register writes the Node: the object, then its status. Labels and other fields that other clients set stay.
func (a *Agent) register(ctx context.Context, ready v1.ConditionStatus, reason, message string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	nodes := a.client.CoreV1().Nodes()
	for range 5 { // a conflict means that another client wrote in between: read again
		node, err := a.ensureNode(ctx)
		if err != nil {
			return err
		}
		node.Status = a.nodeStatus(node.Status, v1.NodeCondition{Type: v1.NodeReady, Status: ready, Reason: reason,
			Message: message})
		_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("writing the status of node %q: %w", a.opts.NodeName, err)
		}
	}
	return fmt.Errorf("writing the status of node %q: %w", a.opts.NodeName, errBusy)
}

var errBusy = errors.New("another client keeps writing it")

// ensureNode gives the Node as the API has it, after it has been created or corrected if necessary.
func (a *Agent) ensureNode(ctx context.Context) (*v1.Node, error) {
	nodes := a.client.CoreV1().Nodes()
	have, err := nodes.Get(ctx, a.opts.NodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.opts.NodeName}}
		a.describe(node)
		if have, err = nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("creating node %q: %w", a.opts.NodeName, err)
		}
		return have, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading node %q: %w", a.opts.NodeName, err)
	}
	want := have.DeepCopy()
	if a.describe(want); reflect.DeepEqual(want, have) {
		return want, nil
	}
	if have, err = nodes.Update(ctx, want, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("updating node %q: %w", a.opts.NodeName, err)
	}
	return have, nil
}

// describe sets the fields of the Node that the agent owns. A podCIDR that is set cannot be changed.
func (a *Agent) describe(node *v1.Node) {
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	node.Labels[v1.LabelHostname] = a.opts.NodeName
	node.Labels[v1.LabelOSStable] = runtime.GOOS
	node.Labels[v1.LabelArchStable] = runtime.GOARCH
	if node.Spec.PodCIDR == "" && a.opts.PodCIDR.IsValid() {
		node.Spec.PodCIDR = a.opts.PodCIDR.Masked().String()
		node.Spec.PodCIDRs = []string{node.Spec.PodCIDR}
	}
}

func (a *Agent) nodeStatus(before v1.NodeStatus, ready v1.NodeCondition) v1.NodeStatus {
	s := *before.DeepCopy()
	s.Capacity, s.Allocatable = a.capacity, a.capacity
	s.Addresses = []v1.NodeAddress{
		{Type: v1.NodeInternalIP, Address: a.opts.HostIP.String()},
		{Type: v1.NodeHostName, Address: a.opts.NodeName},
	}
	s.NodeInfo = nodeInfo()
	if a.opts.Runtime != nil {
		s.NodeInfo.ContainerRuntimeVersion = a.opts.Runtime.Version()
	}
	ready.LastHeartbeatTime, ready.LastTransitionTime = now(), now()
	kept := []v1.NodeCondition{ready}
	for _, c := range before.Conditions {
		switch {
		case c.Type != v1.NodeReady:
			kept = append(kept, c)
		case c.Status == ready.Status:
			kept[0].LastTransitionTime = c.LastTransitionTime
		}
	}
	s.Conditions = kept
	return s
}

func nodeInfo() v1.NodeSystemInfo {
	id := hostFile("/etc/machine-id")
	return v1.NodeSystemInfo{
		MachineID: id, SystemUUID: id, BootID: hostFile("/proc/sys/kernel/random/boot_id"),
		KernelVersion: hostFile("/proc/sys/kernel/osrelease"), OSImage: osImage(), OperatingSystem: runtime.GOOS,
		Architecture: runtime.GOARCH, KubeletVersion: "viaduct",
	}
}

// hostFile is the content of a file of the host, without space around it; empty if there is no such file.
func hostFile(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// osImage is the PRETTY_NAME of the host's os-release.
func osImage() string {
	for line := range strings.Lines(hostFile("/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return runtime.GOOS
}

// hostCapacity is what the host has. Pods can get all of it: the agent reserves and limits nothing.
func hostCapacity() v1.ResourceList {
	list := v1.ResourceList{
		v1.ResourceCPU:  *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		v1.ResourcePods: resource.MustParse(maxPods),
	}
	for line := range strings.Lines(hostFile("/proc/meminfo")) { // without it the memory stays unknown
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			list[v1.ResourceMemory] = *resource.NewQuantity(kib<<10, resource.BinarySI)
		}
	}
	return list
}

// hostAddress is an address of the host that Pods of cidr can reach.
func hostAddress(cidr netip.Prefix) netip.Addr {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !cidr.IsValid() || cidr.Addr().IsLoopback() {
		return loopback
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return loopback
	}
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() && prefix.Addr().Is4() == cidr.Addr().Is4() {
			return prefix.Addr()
		}
	}
	return loopback
}
