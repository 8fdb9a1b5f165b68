package gctuner

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// release returns two kinds of memory to the kernel: free heap, and unchanged pages of mapped files. Those pages belong
// to the program itself, most of which is only used for package initialization, and to the store. Together they are
// about half of an idle process's resident memory. The kernel reads a page again from its page cache when it is used.
func release() error {
	debug.FreeOSMemory()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer smaps.Close()
	mappings, err := unchangedMappings(smaps)
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise %x-%x: %w", m.from, m.to, errno)
		}
	}
	return nil
}

// A mapping is a range of memory addresses.
type mapping struct{ from, to uintptr }

// unchangedMappings finds the mappings that are equal to their file on disk. smaps has the format of /proc/self/smaps,
// see proc(5). A read-only mapping can still differ from its file, because the loader writes to it before it makes it
// read-only (RELRO). The kernel counts such pages as anonymous.
func unchangedMappings(smaps io.Reader) ([]mapping, error) {
	var found []mapping
	var candidate *mapping
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 6 && strings.HasPrefix(fields[5], "/") && !strings.Contains(fields[1], "w"):
			candidate = &mapping{}
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &candidate.from, &candidate.to); err != nil {
				return nil, fmt.Errorf("reading the memory map: %q: %w", lines.Text(), err)
			}
		case len(fields) > 0 && !strings.HasSuffix(fields[0], ":"):
			candidate = nil // the first line of another mapping
		case candidate != nil && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0":
			found = append(found, *candidate)
		}
	}
	return found, lines.Err()
}
