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

// Kind is the field of a Service that a Frontend comes from.
type Kind uint8

// The kinds. When one Service has the same address in two fields, the earlier kind counts.
const (
	ClusterIP    Kind = iota + 1 // spec.clusterIPs
	ExternalIP                   // spec.externalIPs
	LoadBalancer                 // status.loadBalancer.ingress with ipMode VIP
	NodePort                     // spec.ports[].nodePort on an address of the node
)

// String is the name of k in the output of explain.
func (k Kind) String() string {
	return spell([]string{"", "ClusterIP", "ExternalIP", "LoadBalancer", "NodePort"}, k)
}

// Action is what happens to a connection when there is no backend for it.
type Action uint8

const (
	Reject Action = iota + 1 // the connection is refused at once, and the client gets an answer
	Drop                     // packets are ignored; a proxy backend that can act only after accept refuses instead
)

// String is the name of a.
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

// Service is the name of the Service that n belongs to, without a port.
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

// A Dest is the destination of a packet: address, port and protocol. At most one Service owns a Dest.
type Dest struct {
	Addr  netip.AddrPort
	Proto Proto
}

// String is address:port/protocol.
func (d Dest) String() string { return d.Addr.String() + "/" + d.Proto.String() }

// A Key identifies a Frontend: the address, port and protocol that clients connect to, and the field of the Service
// that they come from.
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

// A Frontend is an address and port that clients connect to. All policy is already applied: a proxy backend never reads
// the Service.
type Frontend struct {
	Key
	Service Name           // the Service port of this Frontend
	Inside  Pool           // for connections that start on this node
	Outside Pool           // for connections that arrive from elsewhere
	Allow   []netip.Prefix // the client ranges that may connect, sorted; empty means all clients
	// Affinity is how long a client address stays with its backend after its last new connection; 0: no affinity.
	Affinity time.Duration
	Policy   Policy // picks a backend of the pool
	// SlowStart is the time until a backend has its full weight after it became ready; 0: at once. See At.
	SlowStart time.Duration
	// Serving are endpoints that are in neither pool and still serve, sorted. They get no new connections and keep their
	// present ones.
	Serving []netip.AddrPort
}

// Equal reports whether f and o have equal content.
func (f Frontend) Equal(o Frontend) bool {
	return f.Key == o.Key && f.Service == o.Service && f.Affinity == o.Affinity && f.Policy == o.Policy &&
		f.SlowStart == o.SlowStart &&
		slices.Equal(f.Allow, o.Allow) && slices.Equal(f.Serving, o.Serving) && f.Inside.Equal(o.Inside) &&
		f.Outside.Equal(o.Outside)
}

// Serves reports whether connections to the endpoint a may continue: a is in one of the pools or in Serving.
func (f Frontend) Serves(a netip.AddrPort) bool {
	_, inside := f.Inside.Find(a)
	_, outside := f.Outside.Find(a)
	_, still := slices.BinarySearchFunc(f.Serving, a, netip.AddrPort.Compare)
	return inside || outside || still
}

// Allows reports whether a client with address a may connect. An invalid a means that the address is not known; such a
// client may connect.
func (f Frontend) Allows(a netip.Addr) bool {
	if len(f.Allow) == 0 || !a.IsValid() {
		return true
	}
	return slices.ContainsFunc(f.Allow, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// A Pool is the list of backends that may serve a connection.
type Pool struct {
	Backends []Backend // sorted by address, distinct
	Empty    Action    // what happens to connections while Backends is empty
	SNAT     bool      // the answers of backends on other nodes would not pass through this node; see Hides
	Why      Reason    // the reason for these backends, or for none
}

// Equal reports whether p and o are the same pool for the same reason.
func (p Pool) Equal(o Pool) bool {
	return p.Empty == o.Empty && p.SNAT == o.SNAT && p.Why == o.Why && slices.Equal(p.Backends, o.Backends)
}

// Find returns the index of the backend with address a. It returns false if there is none.
func (p Pool) Find(a netip.AddrPort) (int, bool) {
	return slices.BinarySearchFunc(p.Backends, a, func(b Backend, a netip.AddrPort) int { return b.Addr.Compare(a) })
}

// Hides reports whether the client address must be replaced by an address of this node (masqueraded) on the way to
// backend b of p, because the answer would otherwise not pass through this node. There are two cases: the client is the
// backend itself, or both are outside this node and the backend would answer the client directly. A backend on this
// node answers through the node, so it gets the client address, with every traffic policy. A connection from the node
// itself has an address of the node in any case.
func (p Pool) Hides(from Origin, b Backend) bool {
	return from.Addr.IsValid() && from.Addr.Unmap() == b.Addr.Addr() || p.SNAT && !b.Local
}

// A Backend is one endpoint of a pool.
type Backend struct {
	Addr   netip.AddrPort
	Weight uint32 // the share relative to the other backends of the pool; Frontends leaves out endpoints with weight 0
	Local  bool   // it runs on this node
	// ReadySince is the time when the backend became ready, in seconds of the Unix clock; 0: not known, or the Service has
	// no slow start.
	ReadySince int64 `json:",omitempty"`
}

// An Origin is the source of a connection. The zero Origin is on this node, with an address that is not known.
type Origin struct {
	Addr    netip.Addr // the client's address; invalid when not known
	Outside bool       // the connection arrives from another machine
}

// A Node describes the node for which Frontends are computed.
type Node struct {
	Name      string
	Zone      string       // label topology.kubernetes.io/zone; empty: no zone
	Addrs     []netip.Addr // the node's own addresses, for source ranges
	NodePorts []netip.Addr // the addresses on which node ports are served
}
