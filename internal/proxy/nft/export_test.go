package nft

import (
	"fmt"
	"slices"
	"strings"
)

// Dump lists all that the tables of the calling thread's network namespace hold, a line for each thing, sorted.
func Dump() (string, error) {
	s, err := openSocket()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close() }()
	var lines []string
	for _, f := range families {
		have, err := s.read(f)
		if err != nil {
			return "", err
		}
		for name, c := range have.chains {
			lines = append(lines, fmt.Sprintf("%s chain %s %v", f, name, c.marks))
		}
		for name := range have.sets {
			lines = append(lines, fmt.Sprintf("%s set %s", f, name))
			set, ours := setNamed(name)
			if !ours {
				continue
			}
			err := s.elements(f, set, func(e element) {
				lines = append(lines, fmt.Sprintf("%s set %s %v %d %v %v = %d %v", f, name, e.dest, e.slot, e.key.to, e.from, e.slots, e.value.to))
			})
			if err != nil {
				return "", err
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// WithoutClasses leaves out of a dump what is made on demand and stays.
func WithoutClasses(dump string) string {
	var rest []string
	for _, line := range strings.Split(dump, "\n") {
		words := strings.Fields(line)
		_, class := classNamed(words[2])
		if class || strings.Contains(words[2], "sticky-") || words[1] == "chain" && grows(words[2]) {
			continue
		}
		rest = append(rest, line)
	}
	return strings.Join(rest, "\n")
}
