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

// families are those that have a table of ours.
var families = [...]nftables.Family{nftables.IPv4, nftables.IPv6}

// kind says what the elements of a set or map mean.
type kind uint8

const (
	addresses  kind = iota + 1 // every address a Service has
	clusterIPs                 // those no port of which is anybody else's
	// backends on this node, each twice: as the source and as the destination of its packets
	local
	services        // the number of slots behind an address and port, or what to do without any
	backends        // who is in a slot
	outsideServices // services, for connections from elsewhere, where they differ
	outsideBackends // backends, likewise
	// which chain serves an address and port, if services says byChain
	chains
	outsideChains // chains, for connections from elsewhere, where they differ
	// under which identity an address and port remembers its clients; a map for each timeout
	sticky
	outsideSticky // sticky, for connections from elsewhere, where they differ
	members       // which backends an identity has; nobody else's memory counts
	affinity      // which backend serves a client; the kernel writes it
	restricted    // what not everybody may connect to
	allowed       // who may connect to what is restricted
	pods          // where the Pods of this node have their addresses
	kinds         // how many there are
)

// A setID is one set or map.
type setID struct {
	kind    kind
	seconds uint32 // the timeout a sticky map is for; 0 for the other kinds
}

// A field is one part of a key or of the data of an element.
type field uint8

const (
	fAddr   field = iota + 1 // of the Dest
	fProto                   //
	fPort                    //
	fSlot                    // a number, in the order of this machine: compared with what numgen draws
	fAgain                   // the address of the Dest once more
	fToAddr                  // where a slot leads to, an identity, or a member
	fToPort                  //
	fClient                  // the address of a client; in the set allowed, a range of them
	fSlots                   // a number of slots
	fChain                   // the name of a chain; the only data of its map
)

// dataType is the field's type in the kernel, by which nft prints it.
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

// A spec is what a kind of set looks like in the kernel.
type spec struct {
	name  string
	key   []field
	data  []field // empty: a set
	flags uint32
	size  uint32 // the most elements; 0: as many as come
}

// affinitySize bounds the memory of clients: the kernel demands a bound for what packets write to. With it full, new
// clients are served without being remembered.
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

// leads reports whether the data of the map are chains.
func (s *spec) leads() bool { return len(s.data) == 1 && s.data[0] == fChain }

// values are the data that are bytes: all but chains.
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

// setNamed finds the set of a name; false if it is none of ours.
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

// A key is the key of an element. Which fields count the set's spec says; the others are zero.
type key struct {
	set  setID
	dest routing.Dest   // fAddr, fPort, fProto
	slot uint32         // fSlot
	to   netip.AddrPort // of a member
	from netip.Prefix   // fClient
}

// A value is the data of an element; zero in sets.
type value struct {
	slots uint16         // fSlots: a count, or one of the verdicts of classes.go
	chain string         // fChain
	to    netip.AddrPort // fToAddr, fToPort
	// comment is for people who list the table: the Service, at each of its places.
	comment string
}

// maxComment is the longest comment that nft takes, in bytes.
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
