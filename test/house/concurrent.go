package main

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// starters are packages whose use means goroutines: their functions start them, or their types guard against them.
var starters = map[string]bool{
	"sync": true, "sync/atomic": true, "golang.org/x/sync/errgroup": true, "golang.org/x/sync/singleflight": true,
	"net/http": true, "net/http/httptest": true, "os/exec": true, "context": true,
	"k8s.io/client-go/kubernetes": true, "k8s.io/client-go/informers": true, "k8s.io/client-go/tools/cache": true,
	"k8s.io/apiserver/pkg/registry/generic/registry": true,
}

// concurrent lists the folders with tests that may run goroutines: some file of the package, or of a package of this
// module that it imports, has a go statement, a channel or an import of starters. The end-to-end tests in folder test
// are left out: what they test runs in processes of its own, which the race detector does not see.
func concurrent(files []*file) []string {
	module := moduleOf(files)
	own, tested, imports := map[string]bool{}, map[string]bool{}, map[string]map[string]bool{}
	for _, f := range files {
		folder := f.folder()
		own[folder] = own[folder] || mayRunGoroutines(f)
		tested[folder] = tested[folder] || f.isTest
		if imports[folder] == nil {
			imports[folder] = map[string]bool{}
		}
		for _, name := range importsOf(f) {
			if ours, ok := strings.CutPrefix(name, module); ok {
				imports[folder][ours] = true
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for folder, names := range imports {
			for name := range names {
				if own[name] && !own[folder] {
					own[folder], changed = true, true
				}
			}
		}
	}
	maps.DeleteFunc(own, func(folder string, yes bool) bool { return !yes || !tested[folder] || folder == "test" })
	return slices.Sorted(maps.Keys(own))
}

// moduleOf is the prefix of the module's own imports; every package is in cmd, internal, test, bench or examples.
func moduleOf(files []*file) string {
	for _, f := range files {
		for _, name := range importsOf(f) {
			if module, _, ok := strings.Cut(name, "/internal/"); ok && !strings.Contains(module, ".") {
				return module + "/"
			}
		}
	}
	return "/"
}

func importsOf(f *file) (names []string) {
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		names = append(names, name)
	}
	return names
}

func mayRunGoroutines(f *file) bool {
	for _, name := range importsOf(f) {
		if starters[name] {
			return true
		}
	}
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = true
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		case *ast.SelectorExpr:
			found = found || n.Sel.Name == "Parallel"
		}
		return !found
	})
	return found
}
