package gctuner

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestUnchangedMappings(t *testing.T) {
	const text = `00400000-00401000 r--p 00000000 fe:01 11 /usr/bin/viaduct
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00401000-00800000 r-xp 00001000 fe:01 11 /usr/bin/viaduct
Anonymous:             0 kB
00800000-00801000 r--p 00400000 fe:01 11 /usr/bin/viaduct
Anonymous:             4 kB
00801000-00900000 rw-p 00401000 fe:01 11 /usr/bin/viaduct
Anonymous:             0 kB
00900000-00a00000 r-xp 00000000 fe:01 12 /usr/lib/other.so
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7ffd00000000-7ffd00021000 r--p 00000000 00:00 0 [vvar]
Anonymous:             0 kB
`
	got, err := unchangedMappings(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := []mapping{{0x400000, 0x401000}, {0x401000, 0x800000}, {0x900000, 0xa00000}}; !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestRelease checks that code runs whose pages were released.
func TestRelease(t *testing.T) {
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile("/proc/self/status"); err != nil || len(debug.Stack()) == 0 {
		t.Errorf("after releasing memory: %v", err)
	}
}
