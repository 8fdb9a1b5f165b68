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

// A Sandbox is what one Pod gets.
type Sandbox struct {
	UID      string       // tells Pods apart
	Addrs    []netip.Addr // its addresses, of the Network's ranges
	Hostname string
	Hosts    string // the path of the file that it sees as /etc/hosts
	Resolv   string // likewise /etc/resolv.conf; empty: the host's
}

// Enter moves the calling thread into namespaces of its own, with the Sandbox's network, files and name, for good: the
// caller must have locked its goroutine to the thread and must not unlock it. What the thread starts is in there too.
// The namespaces last as long as the thread and what it started.
func (n *Network) Enter(s Sandbox) error {
	outer, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("speaking with the host's network: %w", err)
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

// mount puts the Sandbox's files in the place of the host's, for this thread only. The host's own later mounts still
// appear.
func (s Sandbox) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating the mounts: %w", err)
	}
	for target, source := range map[string]string{"/etc/hosts": s.Hosts, "/etc/resolv.conf": s.Resolv} {
		if source == "" {
			continue
		}
		err := unix.Mount(source, target, "", unix.MS_BIND, "")
		// a host without such a file: whoever looks there finds none, as outside
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("putting %s in the place of %s: %w", source, target, err)
		}
	}
	return nil
}

// connect joins the namespace to the bridge.
func (n *Network) connect(outer *netlink.Handle, own netns.NsHandle, s Sandbox) error {
	name := vethName(s.UID)
	if stale, err := outer.LinkByName(name); err == nil {
		_ = outer.LinkDel(stale) // of the same Pod, before the agent was started again; LinkAdd says if it is still there
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
		return fmt.Errorf("switching the Pod's link %s on: %w", name, err)
	}
	return n.configure(s)
}

// configure sets up the inner side, on the thread that is in there.
func (n *Network) configure(s Sandbox) error {
	if err := setSysctls(map[string]string{"net/ipv4/conf/all/accept_redirects": "0",
		"net/ipv4/conf/default/accept_redirects": "0"}); err != nil {
		return err
	}
	inner, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("speaking with the Pod's network: %w", err)
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
		return fmt.Errorf("switching the Pod's links on: %w", err)
	}
	for _, a := range s.Addrs {
		if err := n.address(inner, eth0, a); err != nil {
			return err
		}
	}
	return nil
}

// address gives the Pod an address that has no neighbours: everything goes by the host, also to Pods on the same
// bridge, so that the host sees both directions of what it redirects.
func (n *Network) address(inner *netlink.Handle, eth0 netlink.Link, a netip.Addr) error {
	own := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen())), Flags: noDAD(a)}
	if err := inner.AddrAdd(eth0, own); err != nil {
		return fmt.Errorf("giving the Pod its address %s: %w", a, err)
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

// vethName is the name of the host's end of a Pod's link. Interface names have at most 15 characters.
func vethName(uid string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // a hash takes all that is written
	return fmt.Sprintf("vd%010x", h.Sum64()&(1<<40-1))
}
