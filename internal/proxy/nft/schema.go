package nft

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// TableName is the name of Viaduct's table in each family.
const TableName = "viaduct"

// families are the address families with a table.
var families = [...]nftables.Family{nftables.IPv4, nftables.IPv6}

// kind is the meaning of the elements of a set or map.
type kind uint8

const (
	addresses  kind = iota + 1 // all addresses of Services
	clusterIPs                 // the addresses that belong to a Service with all their ports
	// the addresses of backends on this node; the key has the address twice, as source and as destination
	local
	services        // address and port: the number of slots, or one of the constants of classes.go
	backends        // address, port and slot: the backend
	outsideServices // like services, for connections from outside, if they differ
	outsideBackends // like backends, for connections from outside, if they differ
	// address and port: the chain that picks the slot, if the value in services is byChain
	chains
	outsideChains // like chains, for connections from outside, if they differ
	// address and port: the identity for session affinity (see stickyChain); one map for each timeout
	sticky
	outsideSticky // like sticky, for connections from outside, if they differ
	members       // the backends of an identity; an affinity entry with another backend does not count
	affinity      // client and identity: the backend; the kernel writes the map
	restricted    // the addresses and ports that only some clients may connect to
	allowed       // the client ranges that may connect to a restricted address and port
	pods          // the Pod ranges of this node
	kinds         // one more than the last kind
)

// A setID is one set or map.
type setID struct {
	kind    kind
	seconds uint32 // the timeout of a sticky map; 0 for the other kinds
}

// A field is one part of a key or of the data of an element.
type field uint8

const (
	fAddr   field = iota + 1 // the address of the Dest
	fProto                   // the protocol of the Dest
	fPort                    // the port of the Dest
	fSlot                    // a slot, in the byte order of this machine, as numgen draws it
	fAgain                   // the address of the Dest a second time
	fToAddr                  // the address of a backend, an identity or a member
	fToPort                  // the port of a backend, an identity or a member
	fClient                  // the address of a client; in the set allowed, a range of them
	fSlots                   // a number of slots
	fChain                   // the name of a chain; the only data of its map
)

// dataType is the field's type in the kernel. nft uses it to print the field.
func (f field) dataType(of nftables.Family) nftables.DataType {
	switch f {
	case fProto:
		return nftables.TypeInetProto
	case fPort, fToPort, fSlots:
		return nftables.TypeInetService
	case fSlot:
		return nftables.TypeMark
	case fAddr, fAgain, fToAddr, fClient, fChain:
	}
	return of.AddrType()
}

// A spec is the definition of a set or map in the kernel.
type spec struct {
	name  string
	key   []field
	data  []field // empty: a set
	flags uint32
	size  uint32 // the largest number of elements; 0: no limit
}

// affinitySize limits the number of affinity entries. The kernel requires a limit for maps that packets write. When the
// map is full, new clients are served without affinity.
const affinitySize = 1 << 18

var specs = [kinds]spec{
	addresses:       {name: "addresses", key: []field{fAddr}},
	clusterIPs:      {name: "cluster-ips", key: []field{fAddr}},
	local:           {name: "local", key: []field{fAddr, fAgain}},
	services:        {name: "services", key: []field{fAddr, fProto, fPort}, data: []field{fSlots}},
	backends:        {name: "backends", key: []field{fAddr, fProto, fPort, fSlot}, data: []field{fToAddr, fToPort}},
	outsideServices: {name: "outside-services", key: []field{fAddr, fProto, fPort}, data: []field{fSlots}},
	outsideBackends: {name: "outside-backends", key: []field{fAddr, fProto, fPort, fSlot}, data: []field{fToAddr,
		fToPort}},
	chains:        {name: "chains", key: []field{fAddr, fProto, fPort}, data: []field{fChain}},
	outsideChains: {name: "outside-chains", key: []field{fAddr, fProto, fPort}, data: []field{fChain}},
	sticky:        {name: "sticky", key: []field{fAddr, fProto, fPort}, data: []field{fToAddr, fToPort}},
	outsideSticky: {name: "outside-sticky", key: []field{fAddr, fProto, fPort}, data: []field{fToAddr, fToPort}},
	members:       {name: "members", key: []field{fAddr, fPort, fProto, fToAddr, fToPort}},
	affinity: {name: "affinity", key: []field{fClient, fAddr, fPort, fProto}, data: []field{fToAddr, fToPort},
		flags: unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL, size: affinitySize},
	restricted: {name: "restricted", key: []field{fAddr, fProto, fPort}},
	allowed: {name: "allowed", key: []field{fAddr, fProto, fPort, fClient},
		flags: unix.NFT_SET_INTERVAL | nftables.SetConcat},
	pods: {name: "pods", key: []field{fClient}, flags: unix.NFT_SET_INTERVAL},
}

// leads reports whether the data of the map is a chain.
func (s *spec) leads() bool { return len(s.data) == 1 && s.data[0] == fChain }

// values are the data fields that are encoded as bytes. A chain is not one of them.
func (s *spec) values() []field {
	if s.leads() {
		return nil
	}
	return s.data
}

func (k kind) spec() *spec { return &specs[k] }

// name is the set's name in the kernel.
func (s setID) name() string {
	if s.seconds > 0 {
		return fmt.Sprintf("%s-%ds", s.kind.spec().name, s.seconds)
	}
	return s.kind.spec().name
}

// setNamed finds the set with a name. It returns false for a name that this package does not use.
func setNamed(name string) (setID, bool) {
	for k := addresses; k < kinds; k++ {
		if k.spec().name == name && !k.perTimeout() {
			return setID{kind: k}, true
		}
		rest, ok := strings.CutPrefix(name, k.spec().name+"-")
		if !ok || !k.perTimeout() || !strings.HasSuffix(rest, "s") {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSuffix(rest, "s"), 10, 32); err == nil && n > 0 {
			return setID{k, uint32(n)}, true
		}
	}
	return setID{}, false
}

func (k kind) perTimeout() bool { return k == sticky || k == outsideSticky }

// fixed lists the sets that are always there.
func fixed() []setID {
	var list []setID
	for k := addresses; k < kinds; k++ {
		if !k.perTimeout() {
			list = append(list, setID{kind: k})
		}
	}
	return list
}

// A key is the key of an element. The spec of the set says which fields the key has; the others are zero.
type key struct {
	set  setID
	dest routing.Dest   // fAddr, fPort, fProto
	slot uint32         // fSlot
	to   netip.AddrPort // fToAddr, fToPort: the backend, in the set members
	from netip.Prefix   // fClient
}

// A value is the data of an element; zero in sets.
type value struct {
	slots uint16         // fSlots: a number of slots, or one of the constants of classes.go
	chain string         // fChain
	to    netip.AddrPort // fToAddr, fToPort
	// comment is for people who list the table: the name of the Service port.
	comment string
}

// maxComment is the length of the longest comment that nft accepts, in bytes.
const maxComment = 127

// An element is one element of a set or map.
type element struct {
	key
	value
}

func (k key) family() nftables.Family {
	if k.set.kind == pods {
		return nftables.FamilyOf(k.from.Addr())
	}
	return nftables.FamilyOf(k.dest.Addr.Addr())
}
