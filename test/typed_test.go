package test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// typedFile is a file of this repository with the types of its expressions.
type typedFile struct {
	sourceFile
	types    *types.Info
	excuses  map[int]string // by line: the text of comments
	function *ast.FuncDecl  // the declaration that is being checked
}

func newTypedFile(f sourceFile, info *types.Info) *typedFile {
	typed := &typedFile{sourceFile: f, types: info, excuses: map[int]string{}}
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			typed.excuses[f.line(c)] += c.Text
		}
	}
	return typed
}

// excused reports whether a comment on the line of n or the line above begins with word and gives a reason.
func (f *typedFile) excused(n ast.Node, word string) bool {
	for line := f.line(n) - 1; line <= f.line(n); line++ {
		_, reason, ok := strings.Cut(f.excuses[line], word)
		if ok && strings.TrimSpace(reason) != "" {
			return true
		}
	}
	return false
}

// typedFiles type-checks packages of this repository, without their tests. The packages that they import are read from
// the build cache.
func typedFiles(t *testing.T, patterns ...string) []*typedFile {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
		packages.NeedTypesInfo | packages.NeedImports
	loaded, err := packages.Load(&packages.Config{Mode: mode, Dir: root, Context: t.Context()}, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	var files []*typedFile
	for _, p := range loaded {
		for _, err := range p.Errors {
			t.Fatalf("loading %s: %v", p.PkgPath, err)
		}
		for _, tree := range p.Syntax {
			name, err := filepath.Rel(root, p.Fset.Position(tree.Package).Filename)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, newTypedFile(sourceFile{path: filepath.ToSlash(name), set: p.Fset, ast: tree}, p.TypesInfo))
		}
	}
	if len(files) == 0 {
		t.Fatalf("no files of %v", patterns)
	}
	return files
}

// typedSample type-checks the source of one file that imports nothing but packages that files import.
func typedSample(t *testing.T, files []*typedFile, path, source string) *typedFile {
	t.Helper()
	f := parse(t, path, source)
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: importerOf(files), Error: func(err error) { t.Errorf("the sample: %v", err) }}
	if _, err := config.Check(f.ast.Name.Name, f.set, []*ast.File{f.ast}, info); err != nil {
		t.Fatalf("the sample: %v\n%s", err, source)
	}
	return newTypedFile(f, info)
}

// importerOf imports the packages that files use.
type knownPackages map[string]*types.Package

func importerOf(files []*typedFile) knownPackages {
	known := knownPackages{}
	for _, f := range files {
		for _, object := range f.types.Uses {
			if name, ok := object.(*types.PkgName); ok {
				known[name.Imported().Path()] = name.Imported()
			}
		}
	}
	return known
}

func (k knownPackages) Import(path string) (*types.Package, error) {
	if p := k[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no checked file imports %s", path)
}

// called is the function that a call calls; nil if it is a conversion, a builtin or a value.
func (f *typedFile) called(call *ast.CallExpr) *types.Func {
	var id *ast.Ident
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	case *ast.IndexExpr:
		if s, ok := fun.X.(*ast.SelectorExpr); ok {
			id = s.Sel
		}
	}
	if id == nil {
		return nil
	}
	fn, _ := f.types.Uses[id].(*types.Func)
	return fn
}

// calls reports whether n is a call of a function of a package, by the package's path and one of the names.
func (f *typedFile) calls(n ast.Node, path string, names ...string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	fn := f.called(call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != path {
		return false
	}
	for _, name := range names {
		if fn.Name() == name {
			return true
		}
	}
	return len(names) == 0
}

func (f *typedFile) problem(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.path, f.set.Position(pos).Line) + fmt.Sprintf(format, args...)
}
