package test

import (
	"fmt"
	"go/ast"
)

// Limits of size. What is longer has to be cut.
const (
	maxFunctionLines = 60
	maxFileLines     = 400
)

func checkSize(f sourceFile) []string {
	var wrong []string
	if n := f.set.File(f.ast.Pos()).LineCount(); n > maxFileLines && !f.generated() {
		wrong = append(wrong, fmt.Sprintf("%d lines, more than %d", n, maxFileLines))
	}
	if f.isTest() || f.generated() {
		return wrong // a table of tests may be as long as it needs
	}
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
			wrong = append(wrong, fmt.Sprintf("%s has %d lines, more than %d", fn.Name.Name, n, maxFunctionLines))
		}
	}
	return wrong
}

// checkInit refuses init functions: what a package needs is made by whoever wants it.
func checkInit(f sourceFile) []string {
	var wrong []string
	for _, decl := range f.ast.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil && !f.generated() {
			wrong = append(wrong, "has an init function")
		}
	}
	return wrong
}
