package takeover

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// ipvs is what kube-proxy's IPVS mode left: virtual servers, the interface with their addresses, and the ipsets that
// its iptables rules match.
type ipvs struct {
	genl    uint16 // the kernel's number for the generic netlink family IPVS; 0: IPVS is not loaded
	servers []server
	link    netlink.Link // nil: none
	addrs   int          // the number of the link's addresses
	sets    []string
}

// A server is a virtual server of IPVS. The zero addr is a server for a packet mark.
type server struct {
	addr  netip.Addr
	port  uint16
	proto uint16 // IPPROTO_…
}

// A protoPort is a port of a protocol.
type protoPort struct{ proto, port uint16 }

// findIPVS reads what IPVS mode left. The kernel may be without IPVS and without ipsets.
func findIPVS() (parts []part, notes []string, err error) {
	var v ipvs
	held, err := v.findLink()
	if err != nil {
		return nil, nil, err
	}
	nodePorts, err := v.findSets()
	if err != nil {
		return nil, nil, err
	}
	if len(held) > 0 || len(nodePorts) > 0 {
		if err := v.findServers(held, nodePorts); err != nil {
			return nil, nil, err
		}
	}
	if len(v.servers) > 0 {
		notes = append(notes, "connections that IPVS carries end when its virtual servers are removed; Viaduct "+
			"carries the new connections only")
	}
	return []part{v}, notes, nil
}

// findLink finds kube-proxy's interface, and returns its addresses.
func (v *ipvs) findLink() (held map[netip.Addr]bool, err error) {
	link, err := netlink.LinkByName(ipvsLink)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for interface %s: %w", ipvsLink, err)
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing addresses of %s: %w", ipvsLink, err)
	}
	held = map[netip.Addr]bool{}
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && !addr.Unmap().IsLinkLocalUnicast() {
			held[addr.Unmap()] = true
		}
	}
	v.link, v.addrs = link, len(held)
	return held, nil
}

// findSets finds kube-proxy's ipsets, and returns the node ports that they list.
func (v *ipvs) findSets() (nodePorts map[protoPort]bool, err error) {
	all, err := netlink.IpsetListAll()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil // this kernel has no ipsets
	}
	if err != nil {
		return nil, fmt.Errorf("listing ipsets: %w", err)
	}
	nodePorts = map[protoPort]bool{}
	for _, set := range all {
		if !strings.HasPrefix(set.SetName, setPrefix) {
			continue
		}
		if n := len(v.sets); n == 0 || v.sets[n-1] != set.SetName { // a large ipset is listed in several messages
			v.sets = append(v.sets, set.SetName)
		}
		proto, ok := listsNodePorts(set.SetName)
		for _, e := range set.Entries {
			if ok && e.Port != nil {
				nodePorts[protoPort{proto, *e.Port}] = true
			}
		}
	}
	return nodePorts, nil
}

// listsNodePorts reports whether an ipset of this name lists node ports, and of which protocol.
func listsNodePorts(set string) (proto uint16, ok bool) {
	if !strings.HasPrefix(set, nodePortSets) && !strings.HasPrefix(set, nodePortSets6) {
		return 0, false
	}
	for name, proto := range map[string]uint16{"TCP": unix.IPPROTO_TCP, "UDP": unix.IPPROTO_UDP,
		"SCTP": unix.IPPROTO_SCTP} {
		if strings.Contains(set, "-"+name) {
			return proto, true
		}
	}
	return 0, false
}

// Commands and attributes of IPVS, from the kernel's include/uapi/linux/ip_vs.h.
const (
	ipvsName       = "IPVS"
	ipvsVersion    = 1
	ipvsDelService = 3
	ipvsGetService = 4
	ipvsService    = 1 // an attribute that holds the following
	ipvsFamily     = 1
	ipvsProtocol   = 2
	ipvsAddr       = 3
	ipvsPort       = 4
)

// findServers finds the virtual servers of the interface's addresses, and those of node ports on any address.
func (v *ipvs) findServers(held map[netip.Addr]bool, nodePorts map[protoPort]bool) error {
	known, err := netlink.GenlFamilyList() // a request for the family by name would load IPVS
	if err != nil {
		return fmt.Errorf("looking for IPVS: %w", err)
	}
	for _, f := range known {
		if f.Name == ipvsName {
			v.genl = f.ID
		}
	}
	if v.genl == 0 {
		return nil
	}
	req := nl.NewNetlinkRequest(int(v.genl), unix.NLM_F_DUMP)
	req.AddData(&nl.Genlmsg{Command: ipvsGetService, Version: ipvsVersion})
	messages, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return fmt.Errorf("listing virtual servers of IPVS: %w", err)
	}
	for _, m := range messages {
		s := decodeServer(m)
		if held[s.addr] || s.addr.IsValid() && nodePorts[protoPort{s.proto, s.port}] {
			v.servers = append(v.servers, s)
		}
	}
	return nil
}

// decodeServer decodes one answer to ipvsGetService. Fields that are missing or too short stay zero.
func decodeServer(message []byte) (s server) {
	if len(message) < nl.SizeofGenlmsg {
		return server{}
	}
	family := uint16(unix.AF_INET)
	var raw []byte
	for kind, service := range nftables.Attributes(message[nl.SizeofGenlmsg:]) {
		if kind != ipvsService {
			continue
		}
		for kind, value := range nftables.Attributes(service) {
			switch {
			case kind == ipvsFamily && len(value) >= 2:
				family = binary.NativeEndian.Uint16(value)
			case kind == ipvsProtocol && len(value) >= 2:
				s.proto = binary.NativeEndian.Uint16(value)
			case kind == ipvsPort && len(value) >= 2:
				s.port = binary.BigEndian.Uint16(value)
			case kind == ipvsAddr:
				raw = value // 16 bytes, of which IPv4 uses the first 4
			}
		}
	}
	if family == unix.AF_INET && len(raw) > 4 {
		raw = raw[:4]
	}
	s.addr, _ = netip.AddrFromSlice(raw)
	return s
}

// encode is the attribute that identifies s to the kernel.
func (s server) encode() *nl.RtAttr {
	family, raw := uint16(unix.AF_INET), make([]byte, 16)
	if s.addr.Is6() {
		family = unix.AF_INET6
	}
	copy(raw, s.addr.AsSlice())
	out := nl.NewRtAttr(ipvsService|int(nl.NLA_F_NESTED), nil)
	out.AddRtAttr(ipvsFamily, nl.Uint16Attr(family))
	out.AddRtAttr(ipvsProtocol, nl.Uint16Attr(s.proto))
	out.AddRtAttr(ipvsAddr, raw)
	out.AddRtAttr(ipvsPort, binary.BigEndian.AppendUint16(nil, s.port))
	return out
}

func (v ipvs) lines() (list []string) {
	if len(v.servers) > 0 {
		list = append(list, "IPVS: "+count(len(v.servers), "virtual server"))
	}
	if v.link != nil {
		list = append(list, fmt.Sprintf("interface %s, with %s", ipvsLink, count(v.addrs, "address", "addresses")))
	}
	if len(v.sets) > 0 {
		list = append(list, count(len(v.sets), "ipset")+", "+setPrefix+"*")
	}
	return list
}

// remove works only after the iptables rules that match the ipsets are removed.
func (v ipvs) remove(ctx context.Context) error {
	for _, s := range v.servers {
		req := nl.NewNetlinkRequest(int(v.genl), unix.NLM_F_ACK)
		req.AddData(&nl.Genlmsg{Command: ipvsDelService, Version: ipvsVersion})
		req.AddData(s.encode())
		if _, err := req.Execute(unix.NETLINK_GENERIC, 0); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err,
			unix.ENOENT) {
			return fmt.Errorf("removing the virtual server %s from IPVS: %w", netip.AddrPortFrom(s.addr, s.port), err)
		}
	}
	if v.link != nil {
		if err := netlink.LinkDel(v.link); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("removing interface %s: %w", ipvsLink, err)
		}
	}
	for _, name := range v.sets {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := netlink.IpsetDestroy(name); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing ipset %s: %w", name, err)
		}
	}
	return nil
}
