package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// numbers are the measures of one source tree. Lengths are in lines; a column is a rune, and a tab counts as one.
type numbers struct {
	files, lines, testLines, code, comments int
	wide, wideComments                      int
	functions, complexity, fileLines        []int
	parameters                              int // functions with more than 6
	exported, documented                    int
	structs                                 int // with 12 fields and more
	tests, silent                           int // test functions, and those without an assertion
	words, terms, oldWords                  int // in comments
}

// Limits of what the table counts.
const (
	width          = 120
	longFunction   = 60
	highComplexity = 15
	manyParameters = 6
	manyFields     = 12
)

// The words of the table's last rows.
var (
	hiddenSubject = regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|everybody|tell|tells|told)\b`)
	fieldTerms    = regexp.MustCompile(`(?i)\b(caches?|queues?|queued|syncs?|synced|reconciles?|informers?|handlers?)\b`)
)

func measure(files []*file) (n numbers) {
	for _, f := range files {
		if f.isTest {
			n.testLines += len(f.lines)
			n.addTests(f)
			continue
		}
		n.files++
		n.lines += len(f.lines)
		n.fileLines = append(n.fileLines, len(f.lines))
		n.addLines(f)
		n.addDecls(f)
		n.words += len(usesOf(f))
	}
	return n
}

// addLines counts the lines of f by what is on them: a line with code counts as code.
func (n *numbers) addLines(f *file) {
	comment := map[int]bool{}
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			for i, text := range strings.Split(c.Text, "\n") {
				comment[f.line(c.Pos())+i] = true
				n.oldWords += len(hiddenSubject.FindAllString(text, -1))
				n.terms += len(fieldTerms.FindAllString(text, -1))
			}
		}
	}
	for i, line := range f.lines {
		text, wide := strings.TrimSpace(line), utf8.RuneCountInString(line) > width
		switch {
		case wide:
			n.wide++
		}
		switch {
		case text == "":
		case comment[i+1] && (strings.HasPrefix(text, "//") || strings.HasPrefix(text, "/*")):
			n.comments++
			if wide {
				n.wideComments++
			}
		default:
			n.code++
		}
	}
}

func (n *numbers) addDecls(f *file) {
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			n.functions = append(n.functions, f.linesOf(d))
			n.complexity = append(n.complexity, complexity(d))
			if d.Type.Params.NumFields() > manyParameters {
				n.parameters++
			}
			if d.Name.IsExported() && receiverExported(d) {
				n.count(d.Doc != nil)
			}
		case *ast.GenDecl:
			n.addSpecs(d)
		}
	}
}

func (n *numbers) addSpecs(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				n.count(d.Doc != nil || s.Doc != nil || s.Comment != nil)
			}
			if st, ok := s.Type.(*ast.StructType); ok && st.Fields.NumFields() >= manyFields {
				n.structs++
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() {
					n.count(d.Doc != nil || s.Doc != nil || s.Comment != nil)
				}
			}
		}
	}
}

func (n *numbers) count(documented bool) {
	n.exported++
	if documented {
		n.documented++
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(d.Recv.List[0].Type, func(node ast.Node) bool {
		if id, ok := node.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
			return false
		}
		return true
	})
	return exported
}

// complexity is the cyclomatic complexity as gocyclo counts it: one, and one more for each if, for, case, && and ||.
func complexity(d *ast.FuncDecl) int {
	n := 1
	ast.Inspect(d, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if x.List != nil {
				n++
			}
		case *ast.CommClause:
			if x.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if x.Op == token.LAND || x.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

// addTests counts test functions. One asserts if it calls a failing method of a testing.T, or a function of its package
// that does, or passes its T on.
func (n *numbers) addTests(f *file) {
	for _, decl := range f.ast.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok || d.Recv != nil || d.Type.Params.NumFields() != 1 || d.Name.Name == "TestMain" ||
			!strings.HasPrefix(d.Name.Name, "Test") || len(d.Type.Params.List[0].Names) == 0 {
			continue
		}
		n.tests++
		if !asserts(d, d.Type.Params.List[0].Names[0].Name) {
			n.silent++
		}
	}
}

func asserts(d *ast.FuncDecl, t string) (found bool) {
	ast.Inspect(d.Body, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Error", "Errorf", "Fatal", "Fatalf", "Fail",
			"FailNow"}, s.Sel.Name) {
			found = true
		}
		for _, arg := range call.Args {
			if id, ok := arg.(*ast.Ident); ok && id.Name == t {
				found = true
			}
		}
		return true
	})
	return found
}

// quantiles writes the median, the 90th and 99th percentile and the maximum.
func quantiles(values []int) string {
	if len(values) == 0 {
		return "none"
	}
	slices.Sort(values)
	at := func(percent int) int { return values[min(len(values)*percent/100, len(values)-1)] }
	return fmt.Sprintf("%d / %d / %d / %d", at(50), at(90), at(99), values[len(values)-1])
}

func above(values []int, limit int) (n int) {
	for _, v := range values {
		if v > limit {
			n++
		}
	}
	return n
}

func printNumbers(out io.Writer, files []*file) {
	n := measure(files)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{name}, values...)...)
	}
	perThousand := func(count int) string { return fmt.Sprintf("%.1f", 1000*float64(count)/float64(max(n.comments, 1))) }
	row("non-test lines / files", "%d / %d", n.lines, n.files)
	row("functions", "%d", len(n.functions))
	row("function lines p50 / p90 / p99 / max", "%s", quantiles(n.functions))
	row("functions > 60 lines", "%d", above(n.functions, longFunction))
	row("cyclomatic p50 / p90 / p99 / max", "%s", quantiles(n.complexity))
	row("cyclomatic > 15", "%d", above(n.complexity, highComplexity))
	row("params > 6", "%d", n.parameters)
	row("file lines p50 / p90 / p99 / max", "%s", quantiles(n.fileLines))
	row("exported identifiers, documented", "%d, %.1f %%", n.exported, 100*float64(n.documented)/float64(max(n.exported,
		1)))
	row("comments / (code + comments)", "%.1f %%", 100*float64(n.comments)/float64(max(n.code+n.comments, 1)))
	row("lines > 120 columns", "%d (%.2f %%)", n.wide, 100*float64(n.wide)/float64(max(n.lines, 1)))
	row("comment lines > 120 columns", "%d (%s ‰)", n.wideComments, perThousand(n.wideComments))
	row("nobody/somebody/whoever/everybody/tell/tells/told per 1,000 comment lines", "%s", perThousand(n.oldWords))
	row("cache/queue/sync/reconcile/informer/handler per 1,000 comment lines", "%s", perThousand(n.terms))
	row("avoided words in comments and strings (house words)", "%d", n.words)
	row("structs of 12 fields and more", "%d", n.structs)
	row("test lines / non-test", "%d / %.2f", n.testLines, float64(n.testLines)/float64(max(n.lines, 1)))
	row("test functions, without an assertion", "%d, %d", n.tests, n.silent)
	_ = w.Flush() // out is standard output
}
