package test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestEnums checks that switches over the closed enums of this module name every constant or have a default. An enum is
// a named integer or string type of the module with two package-level constants or more.
func TestEnums(t *testing.T) {
	files := typedFiles(t, "./cmd/...", "./internal/...", "./bench/...")
	const enum = "package x; type color string; const ( red color = \"r\"; green color = \"g\"; old = red ); "
	for sample, fails := range map[string]bool{
		enum + "func f(c color) { switch c { case red: } }":                    true,
		enum + "func f(c color) { switch c { case red, green: } }":             false,
		enum + "func f(c color) { switch c { case old: case green: } }":        false,
		enum + "func f(c color) { switch c { case red: default: } }":           false,
		enum + "func f(c string) { switch c { case \"r\": } }":                 false,
		enum + "func f(c color, d bool) { switch { case c == red: case d: } }": false,
		enum + "func f(c color) { switch c {\n// others: none\ncase red:\n} }": false,
	} {
		if wrong := missingCases(typedSample(t, files, "x.go", sample)); (len(wrong) > 0) != fails {
			t.Errorf("finds %v in this sample, and must find something: %v\n%s", wrong, fails, sample)
		}
	}
	for _, f := range files {
		for _, wrong := range missingCases(f) {
			t.Error(wrong)
		}
	}
}

func missingCases(f *typedFile) (wrong []string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SwitchStmt)
		if !ok || s.Tag == nil {
			return true
		}
		missing := valuesOf(f.types.TypeOf(s.Tag))
		for _, stmt := range s.Body.List {
			clause := stmt.(*ast.CaseClause)
			if clause.List == nil {
				return true // a default
			}
			for _, x := range clause.List {
				if v := f.types.Types[x].Value; v != nil {
					delete(missing, v.ExactString())
				}
			}
		}
		if len(missing) > 0 && !f.excused(s.Body.List[0], "others:") {
			var names []string
			for _, name := range missing {
				names = append(names, name)
			}
			slices.Sort(names)
			wrong = append(wrong, f.problem(s.Pos(), "the switch lacks %s: add the cases or a default", strings.Join(names,
				", ")))
		}
		return true
	})
	return wrong
}

// valuesOf are the constants of an enum of this module, by value; none of another type.
func valuesOf(t types.Type) map[string]string {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return nil
	}
	pkg := named.Obj().Pkg()
	if basic, ok := named.Underlying().(*types.Basic); !ok || basic.Info()&(types.IsInteger|types.IsString) == 0 ||
		strings.Contains(pkg.Path(), ".") {
		return nil
	}
	if first, _, _ := strings.Cut(pkg.Path(), "/"); first != module && pkg.Path() != "x" {
		return nil // of the standard library
	}
	values := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && types.Identical(c.Type(), t) && c.Val().Kind() !=
			constant.Unknown {
			values[c.Val().ExactString()] = name
		}
	}
	if len(values) < 2 {
		return nil
	}
	return values
}
