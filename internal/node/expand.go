package node

import "strings"

// expand replaces each $(NAME) in s by the value that lookup gives for NAME. A reference to an unknown name stays
// unchanged, "$$" becomes "$", and any other "$" is an ordinary character. Inserted values are not expanded again, so a
// value cannot add a reference.
func expand(s string, lookup func(name string) (string, bool)) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var out strings.Builder
	for len(s) > 0 {
		before, rest, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			break
		}
		var piece string
		piece, s = expandOne(rest, lookup)
		out.WriteString(piece)
	}
	return out.String()
}

// expandOne handles the text after one "$": it gives the text to write and the rest to read.
func expandOne(rest string, lookup func(string) (string, bool)) (piece, left string) {
	switch {
	case strings.HasPrefix(rest, "$"):
		return "$", rest[1:]
	case strings.HasPrefix(rest, "("):
		name, after, closed := strings.Cut(rest[1:], ")")
		if !closed {
			return "$(", rest[1:]
		}
		if value, known := lookup(name); known {
			return value, after
		}
		return "$(" + name + ")", after
	default:
		return "$", rest
	}
}
