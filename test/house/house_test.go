package main

import (
	"slices"
	"strings"
	"testing"
)

func sample(t *testing.T, name, source string) *file {
	t.Helper()
	f, err := parseFile(name, []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNumbers(t *testing.T) {
	n := measure([]*file{
		sample(t, "internal/x/x.go", `// Package x is told of by nobody.
package x

// F has a doc.
func F(a, b int, c bool) int {
	if a > b && c || !c {
		return a
	}
	switch {
	case c:
		return b
	default:
		return 0
	}
}

type U struct{ A, B, C, D, E, F, G, H, I, J, K, L int } // `+strings.Repeat("wide ", 20)+`

func V() {} // no doc
`),
		sample(t, "internal/x/x_test.go", `package x

import "testing"

func TestA(t *testing.T) { t.Error() }
func TestB(t *testing.T) { check(t) }
func TestC(t *testing.T) { F(1, 2, true) }
`),
	})
	slices.Sort(n.complexity)
	if n.files != 1 || n.lines != 19 || n.testLines != 7 || n.tests != 3 || n.silent != 1 {
		t.Errorf("sizes: %+v", n)
	}
	if !slices.Equal(n.complexity, []int{1, 5}) || slices.Max(n.functions) != 11 {
		t.Errorf("complexity %v, want 1 and 5; lines %v, want 11", n.complexity, n.functions)
	}
	if n.exported != 3 || n.documented != 2 || n.structs != 1 || n.wide != 1 || n.comments != 2 || n.words == 0 {
		t.Errorf("%d exported, %d documented, %d structs, %d wide, %d comments, %d words", n.exported, n.documented,
			n.structs,
			n.wide, n.comments, n.words)
	}
}

func TestWords(t *testing.T) {
	for source, want := range map[string]int{
		"package x // nobody but for the ones that there are": 3,
		"package x; const s = \"somebody\"":                   1,
		"package x; func nobody() {}":                         0,
		"package x // a plain sentence":                       0,
	} {
		if uses := usesOf(sample(t, "internal/x/x.go", source)); len(uses) != want {
			t.Errorf("%s: found %v, want %d", source, uses, want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	files := []*file{
		sample(t, "internal/a/a.go", "package a; func f() { go f() }"),
		sample(t, "internal/a/a_test.go", "package a"),
		sample(t, "internal/b/b.go", "package b; import _ \"viaduct/internal/a\""),
		sample(t, "internal/b/b_test.go", "package b"),
		sample(t, "internal/c/c.go", "package c; func f(a, b int) int { return a + b }"),
		sample(t, "internal/c/c_test.go", "package c"),
		sample(t, "internal/d/d.go", "package d; import _ \"sync\""), // without a test
		sample(t, "internal/e/e.go", "package e"),
		sample(t, "internal/e/e_test.go", "package e; func f(c <-chan int) {}"),
		sample(t, "test/x_test.go", "package test; import _ \"viaduct/internal/a\""),
	}
	if got, want := concurrent(files), []string{"internal/a", "internal/b", "internal/e"}; !slices.Equal(got, want) {
		t.Errorf("concurrent packages: %v, want %v", got, want)
	}
}

func TestRepository(t *testing.T) {
	for _, command := range []string{"numbers", "words", "concurrent"} {
		var out strings.Builder
		if err := run(&out, command, "../.."); err != nil || strings.Count(out.String(), "\n") < 15 {
			t.Errorf("%s: %v, %q", command, err, out.String())
		}
	}
	if err := run(&strings.Builder{}, "letters", "."); err == nil {
		t.Error("an unknown command is accepted")
	}
}
