package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// returnMemory gives back free heap, and the pages of files that are mapped and unchanged: of the program itself, most
// of which was read for package initialization only, and of the store. The kernel brings back from its page cache
// whatever is used again. It is about half of an idle process's resident memory; failing to return it costs nothing
// else.
func returnMemory() error {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer maps.Close()
	ranges, err := untouchedMappings(maps)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("returning %x-%x: %w", r.from, r.to, errno)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// untouchedMappings finds, in text of the form of /proc/self/smaps (proc(5)), the ranges that hold a file just as it is
// on disk: what is there can be read again. A range may be read-only and yet hold something of its own, which the
// loader put there before it closed it (RELRO); such pages count as anonymous.
func untouchedMappings(text io.Reader) ([]mapping, error) {
	var found []mapping
	var candidate *mapping
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 6 && strings.HasPrefix(fields[5], "/") && !strings.Contains(fields[1], "w"):
			candidate = &mapping{}
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &candidate.from, &candidate.to); err != nil {
				return nil, fmt.Errorf("reading the memory map: %q: %w", lines.Text(), err)
			}
		case len(fields) > 0 && !strings.HasSuffix(fields[0], ":"):
			candidate = nil // another mapping begins
		case candidate != nil && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0":
			found = append(found, *candidate)
		}
	}
	return found, lines.Err()
}
