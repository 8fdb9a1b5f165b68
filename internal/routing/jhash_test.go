package routing

import (
	"encoding/binary"
	"testing"
)

// The values were computed by the kernel's include/linux/jhash.h, compiled for a little-endian machine.
func TestJhash(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the values are those of a little-endian machine")
	}
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(i)
	}
	for n, want := range map[int]uint32{4: 0xcab74bd1, 8: 0x713b07b2, 12: 0x74d25359, 16: 0x79172ec9} {
		if got := jhash(key[:n], HashSeed); got != want {
			t.Errorf("jhash of %d bytes is %#x, want %#x", n, got, want)
		}
	}
}
