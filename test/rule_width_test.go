package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"unicode/utf8"
)

// maxColumns is the width of a line of code or comment; a tab counts as one column.
const maxColumns = 120

// longLiteral is the least length of a string literal that excuses the width of its line in a test: the expected output
// of something else, which is found more easily in one piece.
const longLiteral = 80

// checkWidth refuses lines that are too wide, in tests too. Some lines cannot be cut: those of raw strings of several
// lines, those with a word that is too long in itself, such as an address, and directives of the compiler.
func checkWidth(f sourceFile) []string {
	if f.generated() {
		return nil
	}
	excused := excusedWidths(f)
	var wrong []string
	number := 0
	for line := range strings.Lines(f.text) {
		number++
		line = strings.TrimRight(line, "\n")
		columns := utf8.RuneCountInString(line)
		if columns > maxColumns && !excused[number] && longestWord(line) <= maxColumns && !strings.HasPrefix(line, "//go:") {
			wrong = append(wrong, fmt.Sprintf("line %d has %d columns, more than %d", number, columns, maxColumns))
		}
	}
	return wrong
}

// excusedWidths are the lines with string literals that cannot be cut.
func excusedWidths(f sourceFile) map[int]bool {
	excused := map[int]bool{}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.BasicLit)
		if !ok || s.Kind != token.STRING {
			return true
		}
		first, last := f.line(s), f.set.Position(s.End()).Line
		for line := first; line <= last && last > first; line++ {
			excused[line] = true
		}
		if f.isTest() && utf8.RuneCountInString(s.Value) >= longLiteral {
			excused[first] = true
		}
		return true
	})
	return excused
}

func longestWord(line string) (longest int) {
	for word := range strings.FieldsSeq(line) {
		longest = max(longest, utf8.RuneCountInString(word))
	}
	return longest
}
