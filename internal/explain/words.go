package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"viaduct/internal/routing"
)

// plural returns a count in words: "no Pods", "one Pod", "three Pods", "13 Pods".
func plural(n int, one, many string) string {
	if n == 1 {
		return number(n) + " " + one
	}
	return number(n) + " " + many
}

func number(n int) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
		"twelve"}
	if n < len(words) {
		return words[n]
	}
	return fmt.Sprint(n)
}

// thePods returns the name of a single Pod, and the number of several Pods.
func thePods(names []string) string {
	if len(names) == 1 {
		return "the Pod " + names[0]
	}
	return "the " + plural(len(names), "Pod", "Pods")
}

func quoted(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}

func numbers(list []int32) string {
	var out []string
	for _, n := range list {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ", ")
}

// few joins the first four words of a list, and adds the number of the others.
func few(list []string) string {
	const shown = 4
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:shown], ", "), len(list)-shown)
}

// poolText describes the backends of a pool in words.
func poolText(p routing.Pool) string {
	if len(p.Backends) == 0 {
		what := map[routing.Action]string{routing.Reject: "refused", routing.Drop: "dropped"}[p.Empty]
		return fmt.Sprintf("%s: %s", what, p.Why.Sentence())
	}
	var to []string
	for _, b := range p.Backends {
		to = append(to, b.Addr.String())
	}
	text := few(to)
	if p.Why != routing.All {
		text += " (" + p.Why.Sentence() + ")"
	}
	return text
}

// addrsOf returns the backend addresses of a pool, sorted.
func addrsOf(p routing.Pool) (list []netip.AddrPort) {
	for _, b := range p.Backends {
		list = append(list, b.Addr)
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return list
}

// difference describes in words which entries are only in have or only in want.
func difference(have, want []string) string {
	var parts []string
	if more := without(have, want); len(more) > 0 {
		parts = append(parts, "should not have "+few(more))
	}
	if less := without(want, have); len(less) > 0 {
		parts = append(parts, "lacks "+few(less))
	}
	return strings.Join(parts, ", ")
}

func without(list, other []string) (rest []string) {
	for _, w := range list {
		if !slices.Contains(other, w) {
			rest = append(rest, w)
		}
	}
	return rest
}
