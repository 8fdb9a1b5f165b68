package test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// checkSleep refuses sleeping in tests: an event is awaited instead. Three kinds of sleep are fine: in a synctest
// bubble, where time is not real; as the pause of a loop that polls what nobody announces; and where a comment on the
// line says that nothing can be awaited.
func checkSleep(f sourceFile) []string {
	if slices.Contains(f.imports(), "testing/synctest") || !f.isTest() {
		return nil
	}
	excused := map[int]bool{} // by line
	for _, group := range f.ast.Comments {
		if strings.Contains(group.Text(), "nothing can be awaited") {
			excused[f.line(group)] = true
		}
	}
	var wrong []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if loop, ok := n.(*ast.ForStmt); ok && loop.Post != nil {
			excused[f.line(loop.Post)] = true
		}
		if call, ok := n.(*ast.SelectorExpr); ok && isTimeSleep(call) && !excused[f.line(call)] {
			wrong = append(wrong, fmt.Sprintf("line %d sleeps", f.line(call)))
		}
		return true
	})
	return wrong
}

func isTimeSleep(call *ast.SelectorExpr) bool {
	pkg, ok := call.X.(*ast.Ident)
	return ok && pkg.Name == "time" && call.Sel.Name == "Sleep"
}
