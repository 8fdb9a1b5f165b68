package network

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Sandbox describes the namespaces of one Pod.
type Sandbox struct {
	UID      string       // of the Pod
	Addrs    []netip.Addr // the Pod's addresses, within the Network's ranges
	Hostname string
	Hosts    string // the path of the file that the Pod sees as /etc/hosts; empty: the host's
	Resolv   string // the path of the file that the Pod sees as /etc/resolv.conf; empty: the host's
}

// Enter moves the calling thread into new namespaces with the Sandbox's network, files and hostname. The thread cannot
// leave them: the caller must have locked its goroutine to the thread (runtime.LockOSThread) and must not unlock it.
// Processes that the thread starts are in the namespaces, too. The namespaces last until the thread and these processes
// end.
func (n *Network) Enter(s Sandbox) error {
	outer, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("opening a netlink socket in the host's network: %w", err)
	}
	defer outer.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("setting the hostname %q: %w", s.Hostname, err)
	}
	if err := s.mount(); err != nil {
		return err
	}
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("finding the new namespace: %w", err)
	}
	defer func() { _ = own.Close() }() // the thread keeps it
	return n.connect(outer, own, s)
}

// mount mounts the Sandbox's files over the host's, in the thread's mount namespace only. Later mounts of the host
// still appear there.
func (s Sandbox) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	for target, source := range map[string]string{"/etc/hosts": s.Hosts, "/etc/resolv.conf": s.Resolv} {
		if source == "" {
			continue
		}
		err := unix.Mount(source, target, "", unix.MS_BIND, "")
		// ENOENT: the host has no such file, and then the Pod has none either
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("mounting %s over %s: %w", source, target, err)
		}
	}
	return nil
}

// connect makes the veth pair between the bridge and the Pod's namespace.
func (n *Network) connect(outer *netlink.Handle, own netns.NsHandle, s Sandbox) error {
	name := vethName(s.UID)
	if stale, err := outer.LinkByName(name); err == nil {
		_ = outer.LinkDel(stale) // of the same Pod, from before a restart of the agent; LinkAdd fails if it remains
	}
	if err := setSysctls(n.withoutDAD("default")); err != nil {
		return err
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: n.bridge.Attrs().Index},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(own),
	}
	if err := outer.LinkAdd(veth); err != nil {
		return fmt.Errorf("making the Pod's link %s: %w", name, err)
	}
	port, err := outer.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding the Pod's link %s: %w", name, err)
	}
	if err := errors.Join(outer.LinkSetHairpin(port, true), outer.LinkSetUp(port)); err != nil {
		return fmt.Errorf("setting the Pod's link %s up: %w", name, err)
	}
	return n.configure(s)
}

// configure configures the links in the Pod's namespace. The calling thread is in it.
func (n *Network) configure(s Sandbox) error {
	if err := setSysctls(map[string]string{"net/ipv4/conf/all/accept_redirects": "0",
		"net/ipv4/conf/default/accept_redirects": "0"}); err != nil {
		return err
	}
	inner, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("opening a netlink socket in the Pod's network: %w", err)
	}
	defer inner.Close()
	lo, err := inner.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the Pod's loopback: %w", err)
	}
	eth0, err := inner.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("finding the Pod's link: %w", err)
	}
	if err := errors.Join(inner.LinkSetUp(lo), inner.LinkSetUp(eth0)); err != nil {
		return fmt.Errorf("setting the Pod's links up: %w", err)
	}
	for _, a := range s.Addrs {
		if err := n.address(inner, eth0, a); err != nil {
			return err
		}
	}
	return nil
}

// address adds an address without a subnet to the Pod, and routes by way of the host. So packets to Pods on the same
// bridge pass the host's network stack, too, and the host sees both directions of redirected connections.
func (n *Network) address(inner *netlink.Handle, eth0 netlink.Link, a netip.Addr) error {
	own := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: noDAD(a)}
	if err := inner.AddrAdd(eth0, own); err != nil {
		return fmt.Errorf("adding the Pod's address %s: %w", a, err)
	}
	for _, r := range n.opts.Pods {
		if !r.Contains(a) {
			continue
		}
		gateway := Gateway(r)
		onLink := &netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: ipNet(netip.PrefixFrom(gateway, gateway.BitLen())),
			Scope: netlink.SCOPE_LINK}
		out := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gateway.AsSlice(),
			Dst: ipNet(netip.PrefixFrom(unspecified(a), 0))}
		if a.Is6() {
			onLink.Scope = netlink.SCOPE_UNIVERSE
		}
		if err := inner.RouteAdd(onLink); err != nil {
			return fmt.Errorf("making the Pod's route to the host: %w", err)
		}
		if err := inner.RouteAdd(out); err != nil {
			return fmt.Errorf("making the Pod's default route: %w", err)
		}
	}
	return nil
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// vethName is the name of the host's end of a Pod's veth pair. Interface names have at most 15 characters.
func vethName(uid string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // a hash.Hash never returns an error
	return fmt.Sprintf("vd%010x", h.Sum64()&(1<<40-1))
}
