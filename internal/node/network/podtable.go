package network

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// TableName is the nftables table of the Pods' network, one in each family that has a range of Pods. It masquerades
// what Pods send to other networks, and redirects ports of the host to Pods.
const TableName = "viaduct-pods"

// hostPortMap is the map from protocol and port of the host to address and port of a Pod.
const hostPortMap = "host-ports"

// The chains redirect at the priority of destination NAT, and masquerade after the service proxy does (100).
const (
	priorityRedirect   = -100
	priorityMasquerade = 110
)

// rulesOfTable is the number of rules that a whole table has.
const rulesOfTable = 3

// A podTable is the table for one range of Pods. Its methods say what the table holds and change nothing.
type podTable struct {
	nftables.Table
	pods netip.Prefix
}

func newPodTable(pods netip.Prefix) podTable {
	return podTable{nftables.Table{Family: nftables.FamilyOf(pods.Addr()), Name: TableName}, pods.Masked()}
}

// messages replace the table, whatever it holds, by one without host ports.
func (t podTable) messages() []nftables.Message {
	return []nftables.Message{
		t.Add(), // so that Delete finds a table
		t.Delete(),
		t.Add(),
		t.AddSet(nftables.Set{
			Name: hostPortMap,
			Key:  []nftables.DataType{nftables.TypeInetProto, nftables.TypeInetService},
			Data: []nftables.DataType{t.Family.AddrType(), nftables.TypeInetService},
		}, uint32(t.Family)),
		natChain(t, "prerouting", unix.NF_INET_PRE_ROUTING, priorityRedirect),
		natChain(t, "output", unix.NF_INET_LOCAL_OUT, priorityRedirect),
		natChain(t, "postrouting", unix.NF_INET_POST_ROUTING, priorityMasquerade),
		t.AddRule(nftables.Rule{Chain: "prerouting", Exprs: t.redirect()}),
		t.AddRule(nftables.Rule{Chain: "output", Exprs: t.redirect()}),
		t.AddRule(nftables.Rule{Chain: "postrouting", Exprs: t.masquerade()}),
	}
}

func natChain(t podTable, name string, hook uint32, priority int32) nftables.Message {
	return t.AddChain(nftables.Chain{Name: name, Hook: &nftables.Hook{Type: "nat", Number: hook, Priority: priority}})
}

// masquerade is the rule for packets from a Pod to neither a Pod nor the host.
func (t podTable) masquerade() nftables.Attrs {
	e := nftables.Exprs{Family: t.Family}
	e.SourceAddr(0)
	compareRange(&e, unix.NFT_CMP_EQ, t.pods)
	e.DestAddr(0)
	compareRange(&e, unix.NFT_CMP_NEQ, t.pods)
	e.Meta(0, unix.NFT_META_OIFNAME)
	e.Compare(0, unix.NFT_CMP_NEQ, interfaceName(Bridge))
	e.Masquerade()
	return e.Attrs
}

// redirect is the rule for packets to an address of the host. It leaves out the loopback addresses: the kernel does not
// route packets from them to another interface.
func (t podTable) redirect() nftables.Attrs {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	if t.Family == nftables.IPv6 {
		loopback = netip.MustParsePrefix("::1/128")
	}
	e := nftables.Exprs{Family: t.Family}
	e.DestAddr(0)
	compareRange(&e, unix.NFT_CMP_NEQ, loopback)
	e.DestIsLocal(0)
	e.L4Proto(0)
	e.DestPort(1)
	e.InMap(hostPortMap, 0, 0)
	e.DNAT(0)
	return e.Attrs
}

// compareRange compares the network part of the address in register 0 with that of a range.
func compareRange(e *nftables.Exprs, op uint32, p netip.Prefix) {
	e.Mask(0, ipNet(p).Mask)
	e.Compare(0, op, p.Masked().Addr().AsSlice())
}

// interfaceName is a name as the kernel compares it: padded with zeros.
func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// elements are the entries of the table's map for ports of the host.
func (t podTable) elements(ports []HostPort) (list []nftables.Element) {
	for _, p := range ports {
		for _, a := range p.PodAddrs {
			if nftables.FamilyOf(a) == t.Family {
				list = append(list, nftables.Element{
					Key:  []byte{p.Proto, 0, 0, 0, byte(p.Host >> 8), byte(p.Host), 0, 0},
					Data: append(a.AsSlice(), byte(p.Pod>>8), byte(p.Pod), 0, 0),
				})
			}
		}
	}
	return list
}

// addPorts adds ports of the host to the table's map.
func (t podTable) addPorts(ports []HostPort) (list []nftables.Message) {
	for some := range slices.Chunk(t.elements(ports), nftables.MaxElements) {
		list = append(list, t.AddElements(hostPortMap, some))
	}
	return list
}

// deletePorts removes ports of the host from the table's map.
func (t podTable) deletePorts(ports []HostPort) (list []nftables.Message) {
	for some := range slices.Chunk(t.elements(ports), nftables.MaxElements) {
		list = append(list, t.DeleteElements(hostPortMap, some))
	}
	return list
}
