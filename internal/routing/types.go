package routing

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Proto is a transport protocol.
type Proto uint8

// The protocols a Service port may have. The zero Proto is none of them.
const (
	TCP Proto = iota + 1
	UDP
	SCTP
)

// String spells p as the Kubernetes API does.
func (p Proto) String() string {
	return spell([]string{"", "TCP", "UDP", "SCTP"}, p)
}

// Kind says which field of a Service made a Frontend.
type Kind uint8

// The kinds, in the order in which they win when one Service names an address twice.
const (
	ClusterIP    Kind = iota + 1 // spec.clusterIPs
	ExternalIP                   // spec.externalIPs
	LoadBalancer                 // status.loadBalancer.ingress with ipMode VIP
	NodePort                     // spec.ports[].nodePort on an address of the node
)

// String names k as explain prints it.
func (k Kind) String() string {
	return spell([]string{"", "ClusterIP", "ExternalIP", "LoadBalancer", "NodePort"}, k)
}

// Action is what a connection meets when no backend may serve it.
type Action uint8

const (
	Reject Action = iota + 1 // refused at once; the client is told
	Drop                     // ignored; a backend that cannot ignore (it sits behind accept) refuses instead
)

// String names a.
func (a Action) String() string {
	return spell([]string{"", "Reject", "Drop"}, a)
}

func spell[T ~uint8](words []string, v T) string {
	if int(v) < len(words) && words[v] != "" {
		return words[v]
	}
	return fmt.Sprintf("unknown(%d)", uint8(v))
}

// A Name is a Service, or one port of it.
type Name struct {
	Namespace, Name string
	Port            string // the port's name; empty for an unnamed port and for the Service as a whole
}

// Service is the Service n belongs to, without a port.
func (n Name) Service() Name {
	n.Port = ""
	return n
}

// String is namespace/name, and :port when there is one.
func (n Name) String() string {
	if n.Port == "" {
		return n.Namespace + "/" + n.Name
	}
	return n.Namespace + "/" + n.Name + ":" + n.Port
}

// Compare orders Names by namespace, name and port.
func (n Name) Compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Namespace, o.Namespace), cmp.Compare(n.Name, o.Name), cmp.Compare(n.Port, o.Port))
}

// A Dest is what a packet shows of the place it goes to. At most one Service answers on a Dest.
type Dest struct {
	Addr  netip.AddrPort
	Proto Proto
}

// String is address:port/protocol.
func (d Dest) String() string { return d.Addr.String() + "/" + d.Proto.String() }

// A Key is one place clients connect to, and which field of the Service put it there.
type Key struct {
	Kind  Kind
	Addr  netip.Addr // never 4-in-6, never with a zone
	Port  uint16     // never 0
	Proto Proto
}

// Dest is k without its Kind.
func (k Key) Dest() Dest { return Dest{netip.AddrPortFrom(k.Addr, k.Port), k.Proto} }

// String is kind address:port/protocol.
func (k Key) String() string { return k.Kind.String() + " " + k.Dest().String() }

// Compare orders Keys by kind, address, port and protocol.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), k.Addr.Compare(o.Addr), cmp.Compare(k.Port, o.Port),
		cmp.Compare(k.Proto, o.Proto))
}

// A Frontend is a place clients connect to. All policy has been applied: a backend never looks at a Service.
type Frontend struct {
	Key
	Service Name           // the port this Frontend stands for
	Inside  Pool           // for connections that start on this node
	Outside Pool           // for connections that arrive from elsewhere
	Allow   []netip.Prefix // who may connect, sorted; empty means everyone
	// how long a client address stays with its backend after its last new connection; 0: not at all
	Affinity time.Duration
	Policy   Policy // how one of the pool is picked
	// SlowStart is the time over which a backend gets its full weight after it has become ready; 0: at once. See At.
	SlowStart time.Duration
	// Serving are endpoints of neither pool that serve all the same, sorted: they get no new connections, and keep what
	// they have.
	Serving []netip.AddrPort
}

// Equal reports whether f and o ask for the same.
func (f Frontend) Equal(o Frontend) bool {
	return f.Key == o.Key && f.Service == o.Service && f.Affinity == o.Affinity && f.Policy == o.Policy &&
		f.SlowStart == o.SlowStart &&
		slices.Equal(f.Allow, o.Allow) && slices.Equal(f.Serving, o.Serving) && f.Inside.Equal(o.Inside) &&
		f.Outside.Equal(o.Outside)
}

// Serves reports whether a connection may be at a: it is in one of the pools, or serves what it has.
func (f Frontend) Serves(a netip.AddrPort) bool {
	_, inside := f.Inside.Find(a)
	_, outside := f.Outside.Find(a)
	_, still := slices.BinarySearchFunc(f.Serving, a, netip.AddrPort.Compare)
	return inside || outside || still
}

// Allows reports whether a client of address a may connect. An invalid a is a client whose address is not known, and
// may.
func (f Frontend) Allows(a netip.Addr) bool {
	if len(f.Allow) == 0 || !a.IsValid() {
		return true
	}
	return slices.ContainsFunc(f.Allow, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// A Pool is who may serve a connection.
type Pool struct {
	Backends []Backend // sorted by address, distinct
	Empty    Action    // what happens while Backends is empty
	SNAT     bool      // the answer of a backend elsewhere would take another way; see Hides
	Why      Reason    // why these backends, or why none
}

// Equal reports whether p and o are the same pool for the same reason.
func (p Pool) Equal(o Pool) bool {
	return p.Empty == o.Empty && p.SNAT == o.SNAT && p.Why == o.Why && slices.Equal(p.Backends, o.Backends)
}

// Find is the place of the backend with address a, or false.
func (p Pool) Find(a netip.AddrPort) (int, bool) {
	return slices.BinarySearchFunc(p.Backends, a, func(b Backend, a netip.AddrPort) int { return b.Addr.Compare(a) })
}

// Hides reports whether backend b of p must see an address of this node in place of the client's, because its answer
// would not come back through this node otherwise: a client that is the backend itself would answer itself, and a
// backend elsewhere would answer a client elsewhere directly. A backend on this node answers through it, so it sees who
// asks, with every traffic policy. A connection from the node itself has an address of the node either way.
func (p Pool) Hides(from Origin, b Backend) bool {
	return from.Addr.IsValid() && from.Addr.Unmap() == b.Addr.Addr() || p.SNAT && !b.Local
}

// A Backend is one endpoint of a pool.
type Backend struct {
	Addr   netip.AddrPort
	Weight uint32 // its share relative to the others of the pool; Frontends leaves out what has the weight 0
	Local  bool   // it runs on this node
	// ReadySince is when it became ready, in seconds of the Unix clock; 0: not known, or the Service has no slow start.
	ReadySince int64 `json:",omitempty"`
}

// An Origin is where a connection comes from. The zero Origin starts on this node, at an address that is not known.
type Origin struct {
	Addr    netip.Addr // the client's address; invalid when not known
	Outside bool       // it arrives from another machine
}

// A Node is what Frontends must know of the node it speaks for.
type Node struct {
	Name      string
	Zone      string       // label topology.kubernetes.io/zone; empty: no zone
	Addrs     []netip.Addr // the node's own addresses, for source ranges
	NodePorts []netip.Addr // the addresses node ports are served on
}
