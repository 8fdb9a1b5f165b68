package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// avoided are words and turns that hide the subject of a sentence or make its reader translate it twice. The names of
// the standard library's and of Kubernetes' things are not among them.
var avoided = regexp.MustCompile(`(?i)\b(nobody(?:'s)?|somebody(?:'s)?|whoever|whomever|everybody|whosoever|` +
	`but for|(?:that|as) there (?:are|is)|not of one \w+|none of the one|whatsoever|of whom|to whom|` +
	`all the same|to be said|is told of|are told of|tells? of)\b`)

// A use is a place with an avoided word.
type use struct{ place, word string }

// usesOf finds avoided words in the comments and the string literals of f.
func usesOf(f *file) (uses []use) {
	if f.folder() == "test/house" {
		return nil // the list itself
	}
	find := func(pos token.Pos, text string) {
		for _, at := range avoided.FindAllStringIndex(text, -1) {
			line := f.line(pos) + strings.Count(text[:at[0]], "\n")
			uses = append(uses, use{fmt.Sprintf("%s:%d", f.path, line), strings.ToLower(text[at[0]:at[1]])})
		}
	}
	for _, group := range f.ast.Comments {
		for _, comment := range group.List {
			find(comment.Pos(), comment.Text)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			find(s.Pos(), s.Value)
		}
		return true
	})
	return uses
}

// printWords lists the uses outside of tests, and counts them by folder, also those in tests.
func printWords(out io.Writer, files []*file) {
	code, tests := map[string]int{}, map[string]int{}
	for _, f := range files {
		uses := usesOf(f)
		if f.isTest {
			tests[f.folder()] += len(uses)
			continue
		}
		code[f.folder()] += len(uses)
		for _, u := range uses {
			fmt.Fprintf(out, "%s: %q\n", u.place, u.word)
		}
	}
	all := 0
	for _, folder := range slices.Sorted(maps.Keys(code)) {
		if all += code[folder]; code[folder]+tests[folder] > 0 {
			fmt.Fprintf(out, "%5d  %5d in tests  %s\n", code[folder], tests[folder], folder)
		}
	}
	fmt.Fprintf(out, "%5d outside of tests\n", all)
}
