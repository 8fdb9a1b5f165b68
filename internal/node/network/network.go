// Package network gives Pods network namespaces of their own, each joined to the host by a veth on a bridge. It needs
// root.
//
// A Pod's namespaces belong to a thread that stays in them and starts the Pod's processes; see Network.Enter. When the
// thread ends, however the agent ended, the kernel removes the namespaces and with them the veths: there is nothing to
// clean up after a crash but the bridge, which the next agent uses.
//
// The package does not choose addresses, does not run processes and knows no API objects.
package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the name of the host's end of all Pods.
const Bridge = "viaduct0"

// ErrHeld says that another process has the bridge.
var ErrHeld = errors.New("another viaduct process runs the Pods of this host")

// Options say what a Network is to be. Pods must be given.
type Options struct {
	Pods     []netip.Prefix // where Pods get their addresses: one range, or one of each family
	Services []netip.Prefix // reached from this host through the bridge, also where it has no other way to them
	Log      *slog.Logger   // nil: no logs
}

// A Network is the host's side of its Pods.
type Network struct {
	opts   Options
	bridge netlink.Link
	ports  *hostPorts
	lock   int // a socket whose name says that the bridge is ours
}

// Open makes the bridge and what belongs to it, in the network namespace of the calling thread. What an earlier process
// left is used. The error may be ErrHeld, or EPERM where there is no privilege.
func Open(opts Options) (*Network, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	lock, err := holdBridge()
	if err != nil {
		return nil, err
	}
	n := &Network{opts: opts, lock: lock}
	if err := n.build(); err != nil {
		return nil, fmt.Errorf("making the network of the Pods: %w", errors.Join(err, unix.Close(lock)))
	}
	return n, nil
}

// holdBridge takes a name that only one process of a network namespace can have, and loses with its end.
func holdBridge() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("claiming the bridge: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + Bridge})
	if errors.Is(err, unix.EADDRINUSE) {
		err = ErrHeld
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (n *Network) build() error {
	if err := n.checkFree(); err != nil {
		return err
	}
	if err := n.makeBridge(); err != nil {
		return err
	}
	if err := n.forward(); err != nil {
		return err
	}
	for _, r := range n.opts.Services {
		if err := n.routeToServices(r); err != nil {
			return err
		}
	}
	ports, err := newHostPorts(n.opts.Pods)
	n.ports = ports
	return err
}

// checkFree refuses ranges that the host already reaches in another way: its users would lose that.
func (n *Network) checkFree() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		to, ok := prefixOf(r.Dst)
		if !ok || to.Bits() == 0 || n.isBridge(r.LinkIndex) {
			continue
		}
		for _, mine := range append(append([]netip.Prefix(nil), n.opts.Pods...), n.opts.Services...) {
			if mine.Overlaps(to) {
				return fmt.Errorf("%s overlaps with %s, to which this host has a route: choose other ranges with --pod-cidr and "+
					"--service-cidr", mine, to)
			}
		}
	}
	return nil
}

func (n *Network) isBridge(index int) bool {
	link, err := netlink.LinkByIndex(index)
	return err == nil && link.Attrs().Name == Bridge
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

func (n *Network) makeBridge() error {
	err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: Bridge}})
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("making the bridge %s: %w", Bridge, err)
	}
	if n.bridge, err = netlink.LinkByName(Bridge); err != nil {
		return fmt.Errorf("finding the bridge %s: %w", Bridge, err)
	}
	if err := errors.Join(n.dropOldAddresses(), setSysctls(n.withoutDAD(Bridge))); err != nil {
		return err
	}
	for _, r := range n.opts.Pods {
		gateway := ipNet(netip.PrefixFrom(Gateway(r), r.Bits()))
		if err := netlink.AddrReplace(n.bridge, &netlink.Addr{IPNet: gateway, Flags: noDAD(r.Addr())}); err != nil {
			return fmt.Errorf("giving the bridge %s its address %s: %w", Bridge, gateway, err)
		}
	}
	if err := netlink.LinkSetUp(n.bridge); err != nil {
		return fmt.Errorf("switching the bridge %s on: %w", Bridge, err)
	}
	return nil
}

// withoutDAD are the settings that spare a link the seconds in which IPv6 asks whether somebody else has its address.
func (n *Network) withoutDAD(link string) map[string]string {
	if !slices.ContainsFunc(n.opts.Pods, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return nil
	}
	return map[string]string{"net/ipv6/conf/" + link + "/accept_dad": "0", "net/ipv6/conf/" + link + "/dad_transmits": "0"}
}

// dropOldAddresses takes addresses of other ranges from the bridge, which an earlier process may have used.
func (n *Network) dropOldAddresses() error {
	have, err := netlink.AddrList(n.bridge, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the addresses of the bridge: %w", err)
	}
	for _, a := range have {
		addr, _ := netip.AddrFromSlice(a.IP)
		if slices.Contains(n.Gateways(), addr.Unmap()) || addr.Unmap().IsLinkLocalUnicast() {
			continue
		}
		if err := netlink.AddrDel(n.bridge, &a); err != nil {
			return fmt.Errorf("taking the address %s from the bridge: %w", a.IPNet, err)
		}
	}
	return nil
}

// Gateways are the host's addresses for its Pods, one of each family.
func (n *Network) Gateways() (list []netip.Addr) {
	for _, r := range n.opts.Pods {
		list = append(list, Gateway(r))
	}
	return list
}

// Gateway is the address of the host for Pods of a range: its first.
func Gateway(r netip.Prefix) netip.Addr { return r.Masked().Addr().Next() }

// forward lets the host pass on what Pods send and get. All of it passes the host, also from Pod to Pod: a Pod knows no
// other way, and the host is not to suggest one.
func (n *Network) forward() error {
	set := map[string]string{"net/ipv4/conf/" + Bridge + "/send_redirects": "0", "net/ipv4/conf/all/send_redirects": "0"}
	for _, r := range n.opts.Pods {
		if r.Addr().Is6() {
			set["net/ipv6/conf/all/forwarding"] = "1"
		} else {
			set["net/ipv4/ip_forward"] = "1"
		}
	}
	return setSysctls(set)
}

// setSysctls sets kernel settings that are not yet as they should be: some hosts let them only be read.
func setSysctls(set map[string]string) error {
	for name, value := range set {
		path := "/proc/sys/" + name
		if have, err := os.ReadFile(path); err == nil && string(have) == value+"\n" {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s to %s: %w", name, value, err)
		}
	}
	return nil
}

// routeToServices gives the host's own connections to Services an address that Pods can answer. They never take this
// way: the service proxy redirects them before.
func (n *Network) routeToServices(services netip.Prefix) error {
	for _, r := range n.opts.Pods {
		if r.Addr().Is6() != services.Addr().Is6() {
			continue
		}
		route := &netlink.Route{LinkIndex: n.bridge.Attrs().Index, Dst: ipNet(services), Src: Gateway(r).AsSlice(),
			Scope: netlink.SCOPE_LINK}
		if services.Addr().Is6() {
			route.Scope = netlink.SCOPE_UNIVERSE
		}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("making a route to the Services' range %s: %w", services, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// noDAD spares an IPv6 address the second in which the kernel looks whether somebody else has it: nobody else can.
func noDAD(a netip.Addr) int {
	if a.Is6() {
		return unix.IFA_F_NODAD
	}
	return 0
}

// Close removes the bridge and all that belongs to it. Pods that still run lose their network.
func (n *Network) Close() error {
	err := n.ports.remove()
	if e := netlink.LinkDel(n.bridge); e != nil {
		err = errors.Join(err, fmt.Errorf("removing the bridge %s: %w", Bridge, e))
	}
	return errors.Join(err, unix.Close(n.lock))
}
