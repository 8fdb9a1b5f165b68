package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// TableName is the nftables table of the Pods' network, in each family that has a range: it hides Pods behind the host
// where they speak with the world outside, and passes the host's ports on.
const TableName = "viaduct-pods"

// ErrPortTaken says that another Pod has the port of the host.
var ErrPortTaken = errors.New("another Pod has this port of the host")

// A HostPort is a port of the host that leads to a port of a Pod.
type HostPort struct {
	Proto    uint8 // IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP
	Host     uint16
	Pod      uint16
	PodAddrs []netip.Addr
}

type portKey struct {
	proto uint8
	port  uint16
}

// hostPorts is the table and who has which port.
type hostPorts struct {
	pods []netip.Prefix

	mu     sync.Mutex // protects the following
	conn   *nftables.Conn
	tables []*familyTable
	owner  map[portKey]string
	held   map[string][]HostPort
}

// familyTable is the table of one family.
type familyTable struct {
	table *nftables.Table
	ports *nftables.Set
	pods  netip.Prefix
}

// newHostPorts makes the tables anew: what an earlier process left is replaced in one transaction.
func newHostPorts(pods []netip.Prefix) (*hostPorts, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("speaking with nftables: %w", err)
	}
	h := &hostPorts{pods: pods, conn: conn, owner: map[portKey]string{}, held: map[string][]HostPort{}}
	return h, h.build()
}

// build makes the tables, with the ports that are held.
func (h *hostPorts) build() error {
	h.tables = nil
	for _, r := range h.pods {
		if err := h.make(r); err != nil {
			return err
		}
	}
	for _, list := range h.held {
		if err := h.change(list, h.conn.SetAddElements); err != nil {
			return fmt.Errorf("making table %s: %w", TableName, err)
		}
	}
	if err := h.conn.Flush(); err != nil {
		return fmt.Errorf("making table %s: %w", TableName, err)
	}
	return nil
}

// whole reports whether every table has its rules.
func (h *hostPorts) whole() (bool, error) {
	for _, f := range h.tables {
		chains, err := h.conn.ListChainsOfTableFamily(f.table.Family)
		if err != nil {
			return false, err
		}
		rules := 0
		for _, c := range chains {
			if c.Table.Name != TableName {
				continue
			}
			list, err := h.conn.GetRules(f.table, c)
			if err != nil {
				return false, err
			}
			rules += len(list)
		}
		if rules != chainsOfTable {
			return false, nil
		}
	}
	return true, nil
}

// chainsOfTable is how many chains a table has, each with one rule.
const chainsOfTable = 3

// repairInterval is how often the tables are looked at.
const repairInterval = 5 * time.Second

// Keep repairs what somebody else does to the Pods' tables, until ctx ends.
func (n *Network) Keep(ctx context.Context) {
	ticker := time.NewTicker(repairInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if repaired, err := n.Repair(); err != nil {
			n.opts.Log.WarnContext(ctx, "looking after the Pods' network", "err", err)
		} else if repaired {
			n.opts.Log.WarnContext(ctx, "somebody else changed the table "+TableName+", it was repaired")
		}
	}
}

// Repair makes the Pods' tables anew if rules of theirs are missing, and reports whether it did.
func (n *Network) Repair() (bool, error) {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	whole, err := h.whole()
	if err != nil || whole {
		return false, err
	}
	return true, h.build()
}

func (h *hostPorts) make(pods netip.Prefix) error {
	t := &nftables.Table{Name: TableName, Family: nftables.TableFamilyIPv4}
	address := nftables.TypeIPAddr
	if pods.Addr().Is6() {
		t.Family, address = nftables.TableFamilyIPv6, nftables.TypeIP6Addr
	}
	h.conn.AddTable(t) // so that there is one to delete
	h.conn.DelTable(t)
	h.conn.AddTable(t)
	f := &familyTable{table: t, pods: pods.Masked()}
	f.ports = &nftables.Set{
		Table: t, Name: "host-ports", IsMap: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
		DataType: nftables.MustConcatSetType(address, nftables.TypeInetService),
	}
	if err := h.conn.AddSet(f.ports, nil); err != nil {
		return fmt.Errorf("making the map of host ports: %w", err)
	}
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting,
		"output": nftables.ChainHookOutput} {
		c := h.conn.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeNAT, Hooknum: hook,
			Priority: nftables.ChainPriorityNATDest})
		h.conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: f.redirect()})
	}
	out := h.conn.AddChain(&nftables.Chain{Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(110)}) // after the service proxy's
	h.conn.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: f.hide()})
	h.tables = append(h.tables, f)
	return nil
}

// addr loads an address of the packet.
func (f *familyTable) addr(source bool, to uint32) expr.Any {
	p := &expr.Payload{DestRegister: to, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	if f.pods.Addr().Is6() {
		p.Offset, p.Len = 24, 16
	}
	if source {
		p.Offset -= p.Len
	}
	return p
}

// within goes on if the packet's address is in p, or if it is not.
func (f *familyTable) within(p netip.Prefix, source bool, op expr.CmpOp) []expr.Any {
	size := p.Addr().BitLen() / 8
	return []expr.Any{
		f.addr(source, 1),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(size), Mask: ipNet(p).Mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// hide: from a Pod, to none of them, not to the host itself.
func (f *familyTable) hide() []expr.Any {
	return slices.Concat(
		f.within(f.pods, true, expr.CmpOpEq),
		f.within(f.pods, false, expr.CmpOpNeq),
		[]expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(Bridge)},
			&expr.Masq{FullyRandom: true},
		})
}

// redirect: to an address of the host other than its loopback, which redirected connections cannot leave.
func (f *familyTable) redirect() []expr.Any {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	words := uint32(1)
	if f.pods.Addr().Is6() {
		loopback, words = netip.MustParsePrefix("::1/128"), 4
	}
	const first = unix.NFT_REG32_00
	return slices.Concat(
		f.within(loopback, false, expr.CmpOpNeq),
		[]expr.Any{
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: first},
			&expr.Payload{DestRegister: first + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Lookup{SourceRegister: first, DestRegister: first, IsDestRegSet: true, SetName: f.ports.Name,
				SetID: f.ports.ID},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.table.Family), RegAddrMin: first, RegProtoMin: first + words},
		})
}

func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// PublishPorts leads ports of the host to a Pod. The error is ErrPortTaken if another Pod has one of them; then none is
// led.
func (n *Network) PublishPorts(uid string, list []HostPort) error {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[uid] != nil || len(list) == 0 {
		return nil
	}
	for _, p := range list {
		if who := h.owner[portKey{p.Proto, p.Host}]; who != "" && who != uid {
			return fmt.Errorf("port %d: %w", p.Host, ErrPortTaken)
		}
	}
	if err := h.change(list, h.conn.SetAddElements); err != nil {
		return fmt.Errorf("publishing ports of the host: %w", err)
	}
	for _, p := range list {
		h.owner[portKey{p.Proto, p.Host}] = uid
	}
	h.held[uid] = list
	return nil
}

// WithdrawPorts undoes PublishPorts.
func (n *Network) WithdrawPorts(uid string) error {
	h := n.ports
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.held[uid]
	if list == nil {
		return nil
	}
	for _, p := range list {
		delete(h.owner, portKey{p.Proto, p.Host})
	}
	delete(h.held, uid)
	if err := h.change(list, h.conn.SetDeleteElements); err != nil {
		return fmt.Errorf("withdrawing ports of the host: %w", err)
	}
	return nil
}

func (h *hostPorts) change(list []HostPort, how func(*nftables.Set, []nftables.SetElement) error) error {
	for _, f := range h.tables {
		var elements []nftables.SetElement
		for _, p := range list {
			for _, a := range p.PodAddrs {
				if a.Is6() == f.pods.Addr().Is6() {
					key := append([]byte{p.Proto, 0, 0, 0}, pad(binaryutil.BigEndian.PutUint16(p.Host))...)
					elements = append(elements, nftables.SetElement{Key: key, Val: append(a.AsSlice(),
						pad(binaryutil.BigEndian.PutUint16(p.Pod))...)})
				}
			}
		}
		if len(elements) > 0 {
			if err := how(f.ports, elements); err != nil {
				return err
			}
		}
	}
	return h.conn.Flush()
}

func pad(b []byte) []byte { return append(b, 0, 0) }

// remove removes the tables.
func (h *hostPorts) remove() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.tables {
		h.conn.DelTable(f.table)
	}
	if err := h.conn.Flush(); err != nil {
		return fmt.Errorf("removing table %s: %w", TableName, err)
	}
	return h.conn.CloseLasting()
}
