// Package network gives each Pod a network namespace, and connects it to a bridge of the host by a veth pair. It needs
// root.
//
// A Pod's namespaces belong to a thread that stays in them and starts the Pod's processes; see [Network.Enter]. When
// the thread ends, the kernel removes the namespaces and the veth pair. A crash of the agent ends the thread, too. Only
// the bridge and the nftables tables remain then, and the next agent uses them.
//
// podtable.go says what the tables hold (pure). The package does not choose addresses, does not run processes and knows
// no API objects.
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

// Bridge is the name of the bridge that connects the host and its Pods.
const Bridge = "viaduct0"

// ErrHeld means that another process holds the bridge.
var ErrHeld = errors.New("another viaduct process runs the Pods of this host")

// Options configure a Network. Pods is required.
type Options struct {
	Pods     []netip.Prefix // the ranges of the Pods' addresses: one range, or one of each family
	Services []netip.Prefix // the Services' ranges, to which the host gets a route by the bridge
	Log      *slog.Logger   // nil: no logs
}

// A Network is the host's side of its Pods.
type Network struct {
	opts   Options
	bridge netlink.Link
	ports  *hostPorts
	lock   int // the socket of holdBridge
}

// Open makes the bridge, its addresses and routes, and the nftables tables, in the network namespace of the calling
// thread. It uses the bridge of an earlier process, and replaces its tables. The error is ErrHeld while another Network
// holds the bridge, and EPERM without the privilege.
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

// holdBridge binds a socket to an abstract name. Only one socket of a network namespace can have the name, and the
// kernel frees it when the process ends.
func holdBridge() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("locking the bridge: %w", err)
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

// checkFree refuses ranges to which the host has routes already: they would stop working.
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
		for _, own := range slices.Concat(n.opts.Pods, n.opts.Services) {
			if own.Overlaps(to) {
				return fmt.Errorf("%s overlaps with %s, to which this host has a route: choose other ranges with --pod-cidr and "+
					"--service-cidr", own, to)
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
			return fmt.Errorf("adding the address %[2]s to the bridge %[1]s: %[3]w", Bridge, gateway, err)
		}
	}
	if err := netlink.LinkSetUp(n.bridge); err != nil {
		return fmt.Errorf("setting the bridge %s up: %w", Bridge, err)
	}
	return nil
}

// withoutDAD are the kernel settings that disable duplicate address detection on a link, which delays each IPv6 address
// by a second or more. They are empty without IPv6 ranges.
func (n *Network) withoutDAD(link string) map[string]string {
	if !slices.ContainsFunc(n.opts.Pods, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return nil
	}
	return map[string]string{"net/ipv6/conf/" + link + "/accept_dad": "0", "net/ipv6/conf/" + link + "/dad_transmits": "0"}
}

// dropOldAddresses removes addresses from the bridge that belong to the ranges of an earlier process.
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
			return fmt.Errorf("removing the address %s from the bridge: %w", a.IPNet, err)
		}
	}
	return nil
}

// Gateways are the host's addresses on the bridge, one of each family. They are the Pods' default gateways.
func (n *Network) Gateways() (list []netip.Addr) {
	for _, r := range n.opts.Pods {
		list = append(list, Gateway(r))
	}
	return list
}

// Gateway is the host's address in a range of Pods: the first after the network address.
func Gateway(r netip.Prefix) netip.Addr { return r.Masked().Addr().Next() }

// forward enables forwarding of packets by the host, and disables ICMP redirects. Packets from Pod to Pod pass the
// host, too, and a redirect would send them past it.
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

// setSysctls changes the kernel settings that differ. Settings that agree are not written, because some hosts mount
// /proc/sys read-only.
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

// routeToServices makes a route to a range of Services. The route gives the host's own connections to Services a source
// address that Pods can answer. No packet takes the route, because the service proxy redirects it before.
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

// noDAD is the flag that disables duplicate address detection for an IPv6 address. The agent allocates the addresses,
// so there are no duplicates.
func noDAD(a netip.Addr) int {
	if a.Is6() {
		return unix.IFA_F_NODAD
	}
	return 0
}

// Close removes the bridge and the tables. Pods that still run lose their network.
func (n *Network) Close() error {
	err := n.ports.remove()
	if e := netlink.LinkDel(n.bridge); e != nil {
		err = errors.Join(err, fmt.Errorf("removing the bridge %s: %w", Bridge, e))
	}
	return errors.Join(err, unix.Close(n.lock))
}
