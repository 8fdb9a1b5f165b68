package test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// processesUsing lists the processes with an open file under dir. Every container's output is a file of the data
// directory, so these are viaduct itself and whatever belongs to its Pods, wherever it was moved to or forked from.
func processesUsing(dir string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is a good one; what ends meanwhile is skipped below
	var pids []int
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, dir+"/") {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// podProcesses lists the processes of one Pod.
func (h *host) podProcesses(uid string) []int {
	return processesUsing(filepath.Join(h.dir, "pods", uid))
}

// listeners lists what listens for TCP, or is bound for UDP, at an address of the ranges, as "tcp 127.1.2.3:80".
func listeners(t testing.TB, ranges ...netip.Prefix) []string {
	t.Helper()
	var found []string
	for proto, state := range map[string]string{"tcp": "0A", "udp": "07"} {
		table, err := os.ReadFile("/proc/net/" + proto)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != state {
				continue
			}
			at, err := parseProcAddress(fields[1])
			if err != nil {
				t.Fatalf("/proc/net/%s: %v", proto, err)
			}
			if slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(at.Addr()) }) {
				found = append(found, proto+" "+at.String())
			}
		}
	}
	slices.Sort(found)
	return found
}

// parseProcAddress reads "0100007F:1F90": an address in the byte order of the machine, and a port.
func parseProcAddress(s string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(addr)
	if err != nil || len(raw) != 4 {
		return netip.AddrPort{}, fmt.Errorf("%q is no IPv4 address", s)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q has no port", s)
	}
	var ip [4]byte
	binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(raw))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(n)), nil
}

// leftovers says what viaduct left on the host: processes that use its data directory, and sockets at its addresses.
// The socket that reserves the test's address ranges is not a leftover.
func (h *host) leftovers() error {
	if pids := processesUsing(h.dir); len(pids) > 0 {
		return fmt.Errorf("processes still use %s: %s", h.dir, describeAll(pids))
	}
	claim := "tcp " + h.addresses.ClaimAddr().String()
	left := slices.DeleteFunc(listeners(h.t, h.addresses.Services, h.addresses.Pods),
		func(s string) bool { return s == claim })
	if len(left) > 0 {
		return fmt.Errorf("sockets are left: %v", left)
	}
	return nil
}

func (h *host) wantNothingLeft() {
	h.t.Helper()
	if err := h.leftovers(); err != nil {
		h.t.Error(err)
	}
}

func describeAll(pids []int) string {
	var all []string
	for _, pid := range pids {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		all = append(all, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))))
	}
	return strings.Join(all, ", ")
}
