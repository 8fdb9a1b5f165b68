package node

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"
)

// maxHostBits bounds the part of a prefix that is used: 2^24 Pods are enough for one node.
const maxHostBits = 24

// pickAddress gives a free address of cidr for a Pod. The search starts at the hash of uid, so that a Pod tends to get
// the same address each time, and two Pods at once tend to get different ones. The first and last address of a prefix
// are never given, unless it has fewer than four. ok is false if all are used.
func pickAddress(cidr netip.Prefix, uid types.UID, used func(netip.Addr) bool) (addr netip.Addr, ok bool) {
	bits := min(cidr.Addr().BitLen()-cidr.Bits(), maxHostBits)
	size, first := uint64(1)<<bits, uint64(0)
	if bits >= 2 {
		first, size = 1, size-2
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(uid)) // a hash takes all that is written
	start := sum.Sum64() % size
	for i := range size {
		candidate := nth(cidr, first+(start+i)%size)
		if !used(candidate) {
			return candidate, true
		}
	}
	return netip.Addr{}, false
}

// nth is the address at an offset from the first of cidr; offset has at most as many bits as the prefix leaves.
func nth(cidr netip.Prefix, offset uint64) netip.Addr {
	raw := cidr.Masked().Addr().AsSlice()
	tail := raw[len(raw)-4:]
	binary.BigEndian.PutUint32(tail, binary.BigEndian.Uint32(tail)|uint32(offset))
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}
