package proxytest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Host is one machine or Pod of a Lab. It is a network namespace.
type Host string

// The hosts of every Lab. The Pods' traffic passes through their node. All other hosts are in one LAN.
const (
	Node      Host = "node"     // the node of the backend under test
	PodA      Host = "pod-a"    // a Pod of Node
	PodB      Host = "pod-b"    // another Pod of Node
	OtherNode Host = "other"    // a second node
	FarPod    Host = "far-pod"  // a Pod of the second node
	Client    Host = "client"   // outside of the cluster; it has a route to Services via Node, and none to Pods
	Stranger  Host = "stranger" // another client
	lan       Host = "lan"
)

// The hosts' addresses.
var (
	addr4 = map[Host]string{
		Node: "192.168.50.1", OtherNode: "192.168.50.2", Client: "192.168.50.9", Stranger: "192.168.50.10",
		PodA: "10.244.0.2", PodB: "10.244.0.3", FarPod: "10.244.1.2",
	}
	addr6 = map[Host]string{
		Node: "fd00:50::1", OtherNode: "fd00:50::2", Client: "fd00:50::9", Stranger: "fd00:50::10",
		PodA: "fd00:244::2", PodB: "fd00:244::3", FarPod: "fd00:244:1::2",
	}
)

// PodRanges returns the prefixes of the addresses of Node's Pods.
func PodRanges() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.244.0.0/24"), netip.MustParsePrefix("fd00:244::/64")}
}

// Addr returns the host's address: IPv6 if v6, else IPv4.
func (h Host) Addr(v6 bool) netip.Addr {
	if v6 {
		return netip.MustParseAddr(addr6[h])
	}
	return netip.MustParseAddr(addr4[h])
}

// A Lab is a small cluster of network namespaces for one test. It is not reachable from outside.
type Lab struct {
	t      testing.TB
	hosts  map[Host]netns.NsHandle
	handle map[Host]*netlink.Handle
}

// NewLab makes a Lab, or skips the test if namespaces cannot be made. It is removed when the test ends.
func NewLab(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{t: t, hosts: map[Host]netns.NsHandle{}, handle: map[Host]*netlink.Handle{}}
	t.Cleanup(l.close)
	for _, h := range []Host{lan, Node, PodA, PodB, OtherNode, FarPod, Client, Stranger} {
		l.make(h)
	}
	l.wire()
	return l
}

func (l *Lab) close() {
	for _, h := range l.handle {
		h.Close()
	}
	for _, ns := range l.hosts {
		_ = ns.Close() // its last process has ended, which removes the namespace
	}
}

// make makes a namespace and brings its loopback interface up.
func (l *Lab) make(h Host) {
	l.t.Helper()
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns, err := netns.Get()
		l.hosts[h] = ns
		return errors.Join(err, os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644))
	})
	if errors.Is(err, unix.EPERM) {
		l.t.Skipf("needs the privilege to make network namespaces (root, or `unshare --user --map-root-user --net`): %v", err)
	}
	l.must(err)
	handle, err := netlink.NewHandleAt(l.hosts[h])
	l.must(err)
	l.handle[h] = handle
	lo, err := handle.LinkByName("lo")
	l.must(err)
	l.must(handle.LinkSetUp(lo))
}

// onThread runs f on a thread of its own. The thread ends with f, and so do the changes that f made to it.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		result <- f()
	}()
	return <-result
}

// Do runs f in the host's namespace. Sockets that f opens stay there. Goroutines that f starts run elsewhere.
func (l *Lab) Do(h Host, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(l.hosts[h]); err != nil {
			return err
		}
		return f()
	})
}

// In is Do, but an error ends the test.
func (l *Lab) In(h Host, f func() error) {
	l.t.Helper()
	if err := l.Do(h, f); err != nil {
		l.t.Fatalf("on %s: %v", h, err)
	}
}

func (l *Lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// nodeSettings are the sysctls of every node. The rate limit of ICMP errors is off, because a test causes many
// refusals.
var nodeSettings = map[string]string{
	"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/send_redirects": "0",
	"ipv4/conf/default/send_redirects": "0",
	"ipv4/icmp_ratelimit":              "0", "ipv6/icmp/ratelimit": "0",
}

// wire connects the hosts.
func (l *Lab) wire() {
	for _, h := range []Host{Node, OtherNode} {
		for name, value := range nodeSettings {
			l.In(h, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
		}
	}
	l.bridge(lan, "lan0", nil, nil)
	for _, h := range []Host{Node, OtherNode, Client, Stranger} {
		l.join(lan, "lan0", h, 24, 64)
	}
	l.bridge(Node, "viaduct0", []string{"10.244.0.1/24"}, []string{"fd00:244::1/64"})
	l.bridge(OtherNode, "viaduct0", []string{"10.244.1.1/24"}, []string{"fd00:244:1::1/64"})
	for pod, node := range map[Host]Host{PodA: Node, PodB: Node, FarPod: OtherNode} {
		l.join(node, "viaduct0", pod, 32, 128) // all traffic of a Pod passes through its node
		gateway := map[Host][2]string{Node: {"10.244.0.1", "fd00:244::1"}, OtherNode: {"10.244.1.1", "fd00:244:1::1"}}[node]
		for i, all := range []string{"0.0.0.0/0", "::/0"} {
			l.onLink(pod, gateway[i])
			l.route(pod, all, gateway[i])
		}
	}
	l.route(Node, "10.244.1.0/24", addr4[OtherNode])
	l.route(Node, "fd00:244:1::/64", addr6[OtherNode])
	for _, h := range []Host{OtherNode, Client, Stranger} {
		for _, to := range []string{"10.96.0.0/16", "203.0.113.0/24"} {
			l.route(h, to, addr4[Node])
		}
		for _, to := range []string{"fd00:96::/112", "2001:db8::/64"} {
			l.route(h, to, addr6[Node])
		}
	}
	l.route(OtherNode, "10.244.0.0/24", addr4[Node])
	l.route(OtherNode, "fd00:244::/64", addr6[Node])
	l.services()
}

// services gives Node a route to the addresses of Services. Node's own connections need one before the kernel redirects
// them.
func (l *Lab) services() {
	for _, to := range []string{"10.96.0.0/16", "203.0.113.0/24"} {
		l.route(Node, to, addr4[OtherNode])
	}
	for _, to := range []string{"fd00:96::/112", "2001:db8::/64"} {
		l.route(Node, to, addr6[OtherNode])
	}
}

func (l *Lab) bridge(h Host, name string, v4, v6 []string) {
	l.t.Helper()
	handle := l.handle[h]
	l.must(handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}))
	link, err := handle.LinkByName(name)
	l.must(err)
	for _, a := range append(v4, v6...) {
		l.addr(h, link, a)
	}
	l.must(handle.LinkSetUp(link))
}

func (l *Lab) addr(h Host, link netlink.Link, cidr string) {
	l.t.Helper()
	a, err := netlink.ParseAddr(cidr)
	l.must(err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	l.must(l.handle[h].AddrAdd(link, a))
}

// join connects h to a bridge, and sets its addresses.
func (l *Lab) join(at Host, bridge string, h Host, bits4, bits6 int) {
	l.t.Helper()
	near, far := "to-"+string(h), "eth0"
	l.must(l.handle[at].LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far, PeerNamespace: netlink.NsFd(l.hosts[h]),
	}))
	port, err := l.handle[at].LinkByName(near)
	l.must(err)
	master, err := l.handle[at].LinkByName(bridge)
	l.must(err)
	l.must(l.handle[at].LinkSetMaster(port, master))
	l.must(l.handle[at].LinkSetHairpin(port, true))
	l.must(l.handle[at].LinkSetUp(port))
	link, err := l.handle[h].LinkByName(far)
	l.must(err)
	l.addr(h, link, fmt.Sprintf("%s/%d", addr4[h], bits4))
	l.addr(h, link, fmt.Sprintf("%s/%d", addr6[h], bits6))
	l.must(l.handle[h].LinkSetUp(link))
}

// onLink adds a route to a neighbour whose address is in another network.
func (l *Lab) onLink(h Host, to string) {
	l.t.Helper()
	link, err := l.handle[h].LinkByName("eth0")
	l.must(err)
	addr := netip.MustParseAddr(to)
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: &net.IPNet{IP: addr.AsSlice(),
		Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}}
	if addr.Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	l.must(l.handle[h].RouteAdd(route))
}

func (l *Lab) route(h Host, to, via string) {
	l.t.Helper()
	_, dst, err := net.ParseCIDR(to)
	l.must(err)
	l.must(l.handle[h].RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(via)}))
}
