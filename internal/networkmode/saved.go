package networkmode

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// rangesFile is the file of the data directory that holds the ranges of the last start, as command-line flags.
const rangesFile = "ranges"

// recall adds the ranges of the last start to those that are given.
func recall(dataDir string, given Ranges) (Ranges, error) {
	raw, err := os.ReadFile(filepath.Join(dataDir, rangesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return given, nil
	}
	if err != nil {
		return Ranges{}, fmt.Errorf("reading the address ranges of the last start: %w", err)
	}
	fields := map[string]*[]netip.Prefix{"--service-cidr": &given.Services, "--pod-cidr": &given.Pods}
	for line := range strings.Lines(string(raw)) {
		flag, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		field := fields[flag]
		if field == nil || len(*field) > 0 {
			continue
		}
		if *field, err = parse(text); err != nil {
			return Ranges{}, fmt.Errorf("reading the address ranges of the last start: %s: %w", flag, err)
		}
	}
	return given, nil
}

func save(dataDir string, r Ranges) error {
	text := fmt.Sprintf("--service-cidr %s\n--pod-cidr %s\n", format(r.Services), format(r.Pods))
	if err := os.WriteFile(filepath.Join(dataDir, rangesFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("saving the address ranges: %w", err)
	}
	return nil
}

func parse(text string) (list []netip.Prefix, err error) {
	for one := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(one)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func format(list []netip.Prefix) string {
	var all []string
	for _, p := range list {
		all = append(all, p.String())
	}
	return strings.Join(all, ",")
}
