package routing

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// HashSeed is the seed of the hash of client addresses. It is a constant, so a client has the same slot on every node
// and after every restart.
const HashSeed = 0x76696164 // "viad"

// HashSlot is the slot of a client in a table of n slots: Linux's jhash of the address in network byte order, scaled to
// n. The nftables expression "jhash ip saddr mod n seed HashSeed" computes the same number.
func HashSlot(client netip.Addr, n int) int {
	h := jhash(client.Unmap().AsSlice(), HashSeed)
	return int(uint64(h) * uint64(n) >> 32)
}

// jhash is the kernel's jhash() of include/linux/jhash.h (Bob Jenkins' lookup3), for keys whose length is a multiple of
// four bytes.
func jhash(key []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(key)) + seed
	b, c := a, a
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(key[4*i:]) }
	for len(key) > 12 {
		a, b, c = a+word(0), b+word(1), c+word(2)
		a, b, c = jhashMix(a, b, c)
		key = key[12:]
	}
	switch len(key) {
	case 12:
		c += word(2)
		fallthrough
	case 8:
		b += word(1)
		fallthrough
	case 4:
		a += word(0)
		c = jhashFinal(a, b, c)
	}
	return c
}

func jhashMix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func jhashFinal(a, b, c uint32) uint32 {
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}
