package resolver

import (
	"net/netip"
	"os"
	"strings"
)

// readHosts reads a file in the form of hosts(5). A file that cannot be read counts as empty.
func readHosts(path string) map[string][]netip.Addr {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	hosts := map[string][]netip.Addr{}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			name = strings.ToLower(name)
			hosts[name] = append(hosts[name], addr.WithZone(""))
		}
	}
	return hosts
}
