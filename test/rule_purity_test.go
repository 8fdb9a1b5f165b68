package test

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestPurity holds the pure packages and the pure files to their rule: they read no clock, draw no random number, start
// no goroutine, and do not let the order of a map reach a result. Each part of the rule has samples that must fail, and
// the loops over maps have samples that must pass.
func TestPurity(t *testing.T) {
	var patterns []string
	for folder := range pure {
		patterns = append(patterns, "./"+folder)
	}
	for _, name := range pureFiles {
		patterns = append(patterns, "./"+name[:strings.LastIndex(name, "/")])
	}
	files := typedFiles(t, patterns...)
	for _, s := range impureSamples {
		if len(impurities(typedSample(t, files, "internal/routing/x.go", s))) == 0 {
			t.Errorf("this sample passes, and must not:\n%s", s)
		}
	}
	for _, s := range pureSamples {
		for _, wrong := range impurities(typedSample(t, files, "internal/routing/x.go", s)) {
			t.Errorf("this sample fails, and must not: %s\n%s", wrong, s)
		}
	}
	checked := 0
	for _, f := range files {
		if pure[f.folder()] || slices.Contains(pureFiles, f.path) {
			checked++
			for _, wrong := range impurities(f) {
				t.Error(wrong)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d files were checked", checked)
	}
	for _, name := range pureFiles {
		if !slices.ContainsFunc(files, func(f *typedFile) bool { return f.path == name }) {
			t.Errorf("%s is not there", name)
		}
	}
}

var impureSamples = []string{
	"package x; import \"time\"; func f() time.Time { return time.Now() }",
	"package x; import \"time\"; func f(t time.Time) time.Duration { return time.Since(t) }",
	"package x; import \"time\"; var now = time.Now",
	"package x; func f() { go f() }",
	"package x; func f(c chan int) { c <- 1 }",
	"package x; func f(c chan int) int { return <-c }",
	"package x; func f(m map[int]int) (l []int) { for k := range m { l = append(l, k) }; return }",
	"package x; func f(m map[int]int) int { for k := range m { return k }; return 0 }",
	"package x; func f(m map[string]int) (s string) { for k := range m { s += k }; return }",
	"package x; func f(m map[int]int) (last int) { for k := range m { last = k }; return }",
	"package x; func g(int); func f(m map[int]int) { for k := range m { g(k) } }",
	"package x; func f(m map[int]int) (l [9][]int) { for k := range m { l[k%9] = append(l[k%9], k) }; return }",
	"package x; func f(m map[int]string) map[string]int { n := map[string]int{}; for k, v := range m { n[v] = k }; " +
		"return n }",
	"package x; import \"maps\"; import \"slices\"; func f(m map[int]int) []int { return slices.Collect(maps.Keys(m)) }",
}

var pureSamples = []string{
	"package x; import \"slices\"; func f(m map[int]int) (l []int) { for k := range m { l = append(l, k) }; " +
		"slices.Sort(l); return }",
	"package x; import \"maps\"; import \"slices\"; func f(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }",
	"package x; func f(m map[int]int) (n int) { for _, v := range m { if v > 3 { n++ } else { n += v } }; return }",
	"package x; func f(m map[int]int) bool { for _, v := range m { if v > 3 { return true } }; return false }",
	"package x; func f(m, n map[int]int) { for k, v := range m { n[k] = v; delete(m, k) } }",
	"package x; func f(m map[int]string) map[string]bool { n := map[string]bool{}; for _, v := range m { n[v] = true " +
		"}; return n }",
	"package x; func f(m map[int]int) (most int) { for _, v := range m { most = max(most, v) }; return }",
	"package x; func f(m map[int][]int) (n int) { for _, l := range m { for _, v := range l { w := v * v; n += w } }; " +
		"return }",
	"package x\nfunc f(m map[int]int) (any int) {\n\tfor k := range m { // unordered: each will do\n\t\tany = " +
		"k\n\t}\n\treturn\n}",
}

// clocks are what package time offers beyond arithmetic.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// impurities lists what a pure file must not do. What it imports is checked by checkImports.
func impurities(f *typedFile) (wrong []string) {
	for _, decl := range f.ast.Decls {
		f.function, _ = decl.(*ast.FuncDecl)
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if o := f.types.Uses[n]; o != nil && o.Pkg() != nil && o.Pkg().Path() == "time" && isFunction(o) &&
					slices.Contains(clocks, o.Name()) {
					wrong = append(wrong, f.problem(n.Pos(), "time.%s depends on the clock", o.Name()))
				}
			case *ast.GoStmt:
				wrong = append(wrong, f.problem(n.Pos(), "starts a goroutine"))
			case *ast.SendStmt, *ast.SelectStmt:
				wrong = append(wrong, f.problem(n.Pos(), "uses a channel"))
			case *ast.UnaryExpr:
				if n.Op == token.ARROW {
					wrong = append(wrong, f.problem(n.Pos(), "uses a channel"))
				}
			case *ast.RangeStmt:
				if f.unordered(n.X) && !f.excused(n, "unordered:") {
					wrong = append(wrong, (&mapLoop{typedFile: f, loop: n}).problems()...)
				}
			case *ast.CallExpr:
				if f.calls(n, "slices", "Collect", "AppendSeq") && f.unordered(n.Args[len(n.Args)-1]) &&
					!f.excused(n, "unordered:") {
					wrong = append(wrong, f.problem(n.Pos(), "the elements are in the order of a map: use slices.Sorted"))
				}
			}
			return true
		})
	}
	return wrong
}

// isFunction reports whether o is a function and not a method: Time.After compares.
func isFunction(o types.Object) bool {
	fn, ok := o.(*types.Func)
	return ok && fn.Signature().Recv() == nil
}

// unordered reports whether x is a map, or iterates over one.
func (f *typedFile) unordered(x ast.Expr) bool {
	if f.calls(x, "maps", "Keys", "Values", "All") {
		return true
	}
	typ := f.types.TypeOf(x)
	if typ == nil {
		return false
	}
	_, isMap := typ.Underlying().(*types.Map)
	return isMap
}

// A mapLoop is a loop over a map. Its statements may do what comes to the same in every order: count, set a constant,
// write to the element of the key, build a list that is sorted after the loop, return a constant.
type mapLoop struct {
	*typedFile
	loop  *ast.RangeStmt
	wrong []string
}

func (l *mapLoop) problems() []string {
	l.block(l.loop.Body.List)
	return l.wrong
}

func (l *mapLoop) refuse(n ast.Node, what string) {
	l.wrong = append(l.wrong, l.problem(n.Pos(), "%s in a loop over a map, whose order is random; sort the keys, or say "+
		"`// unordered: why`", what))
}

func (l *mapLoop) block(list []ast.Stmt) {
	for _, s := range list {
		l.statement(s)
	}
}

func (l *mapLoop) statement(s ast.Stmt) {
	switch s := s.(type) {
	case nil, *ast.DeclStmt, *ast.IncDecStmt, *ast.EmptyStmt:
	case *ast.BlockStmt:
		l.block(s.List)
	case *ast.IfStmt:
		l.statement(s.Init)
		l.block(s.Body.List)
		l.statement(s.Else)
	case *ast.SwitchStmt:
		l.statement(s.Init)
		l.block(s.Body.List)
	case *ast.TypeSwitchStmt:
		l.block(s.Body.List)
	case *ast.CaseClause:
		l.block(s.Body)
	case *ast.ForStmt:
		l.block(s.Body.List)
	case *ast.RangeStmt:
		if !l.unordered(s.X) { // a nested loop over a map is checked for itself
			l.block(s.Body.List)
		}
	case *ast.BranchStmt:
		if s.Tok == token.BREAK && s.Label == nil {
			return // of a switch or an inner loop; what stands before it is checked
		}
	case *ast.AssignStmt:
		l.assign(s)
	case *ast.ReturnStmt:
		for _, result := range s.Results {
			if !l.constant(result) {
				l.refuse(s, "returning a value of the first element found")
				return
			}
		}
	case *ast.ExprStmt:
		if call, ok := s.X.(*ast.CallExpr); !ok || !l.orderless(call) {
			l.refuse(s, "a call")
		}
	default:
		l.refuse(s, "this statement")
	}
}

// orderless calls come to the same in every order.
func (l *mapLoop) orderless(call *ast.CallExpr) bool {
	if id, ok := call.Fun.(*ast.Ident); ok {
		builtin, ok := l.types.Uses[id].(*types.Builtin)
		return ok && (builtin.Name() == "delete" || builtin.Name() == "clear" || builtin.Name() == "panic")
	}
	fn := l.called(call)
	return fn != nil && slices.Contains([]string{"Insert", "Delete"}, fn.Name()) && fn.Pkg() != nil &&
		fn.Pkg().Path() == "k8s.io/apimachinery/pkg/util/sets"
}

func (l *mapLoop) assign(s *ast.AssignStmt) {
	switch s.Tok {
	case token.DEFINE, token.OR_ASSIGN, token.AND_ASSIGN, token.XOR_ASSIGN:
		return
	case token.ADD_ASSIGN, token.SUB_ASSIGN:
		if basic, ok := l.types.TypeOf(s.Lhs[0]).Underlying().(*types.Basic); ok && basic.Info()&types.IsInteger != 0 {
			return
		}
	}
	for i, left := range s.Lhs {
		right := s.Rhs[min(i, len(s.Rhs)-1)]
		if !l.local(left) && !l.constant(right) && !l.ownElement(left) && !l.extreme(left, right) &&
			!l.sortedLater(left, right) {
			l.refuse(s, "this assignment")
			return
		}
	}
}

// local reports whether x is a variable of the loop's body, or part of one.
func (l *mapLoop) local(x ast.Expr) bool {
	switch e := x.(type) {
	case *ast.Ident:
		if e.Name == "_" {
			return true
		}
		o := l.types.ObjectOf(e)
		return o != nil && o.Pos() >= l.loop.Body.Pos() && o.Pos() < l.loop.Body.End()
	case *ast.SelectorExpr:
		return l.local(e.X)
	case *ast.IndexExpr:
		return l.local(e.X)
	}
	return false
}

// constant reports whether x has the same value for each element: a constant, nil, or a composite of constants.
func (l *mapLoop) constant(x ast.Expr) bool {
	if tv := l.types.Types[x]; tv.Value != nil || tv.IsNil() {
		return true
	}
	c, ok := x.(*ast.CompositeLit)
	return ok && !slices.ContainsFunc(c.Elts, func(e ast.Expr) bool { return !l.constant(e) })
}

// ownElement reports whether x is an element of a map at the key of the loop, which each pass has for itself.
func (l *mapLoop) ownElement(x ast.Expr) bool {
	index, ok := x.(*ast.IndexExpr)
	if !ok {
		if s, isField := x.(*ast.SelectorExpr); isField {
			return l.ownElement(s.X)
		}
		return false
	}
	key, ok := l.loop.Key.(*ast.Ident)
	id, same := ast.Unparen(index.Index).(*ast.Ident)
	return ok && same && l.types.ObjectOf(key) != nil && l.types.ObjectOf(key) == l.types.ObjectOf(id)
}

// extreme reports whether right is the greatest or the smallest of left and something, or left and or or something.
func (l *mapLoop) extreme(left, right ast.Expr) bool {
	if b, ok := right.(*ast.BinaryExpr); ok && (b.Op == token.LOR || b.Op == token.LAND) {
		return types.ExprString(b.X) == types.ExprString(left)
	}
	call, ok := right.(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && (id.Name == "min" || id.Name == "max") && slices.ContainsFunc(call.Args, func(a ast.Expr) bool {
		return types.ExprString(a) == types.ExprString(left)
	})
}

// sortedLater reports whether right appends to left, and a call after the loop sorts left.
func (l *mapLoop) sortedLater(left, right ast.Expr) bool {
	call, ok := right.(*ast.CallExpr)
	if !ok || l.function == nil {
		return false
	}
	if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "append" {
		return false
	}
	found := false
	ast.Inspect(l.function, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && n.Pos() > l.loop.End() && len(call.Args) > 0 && l.sorts(call) &&
			types.ExprString(call.Args[0]) == types.ExprString(left) {
			found = true
		}
		return !found
	})
	return found
}

// sorts reports whether a call sorts its first argument: by its package, or by its name.
func (l *mapLoop) sorts(call *ast.CallExpr) bool {
	fn := l.called(call)
	if fn == nil {
		return false
	}
	return strings.HasPrefix(strings.ToLower(fn.Name()), "sort") || fn.Pkg() != nil && fn.Pkg().Path() == "sort"
}
