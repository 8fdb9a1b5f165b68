package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A sourceFile is a Go file of this repository.
type sourceFile struct {
	path string // slash-separated, from the repository's root
	set  *token.FileSet
	ast  *ast.File
	text string
}

func (f sourceFile) folder() string { return path.Dir(f.path) }
func (f sourceFile) isTest() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f sourceFile) generated() bool {
	return strings.Contains(path.Base(f.path), "zz_generated")
}

func (f sourceFile) imports() []string {
	var out []string
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		out = append(out, name)
	}
	return out
}

func (f sourceFile) line(n ast.Node) int { return f.set.Position(n.Pos()).Line }

func parse(t *testing.T, name, source string) sourceFile {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return sourceFile{path: name, set: set, ast: file, text: source}
}

func repository(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	root := ".."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files = append(files, parse(t, filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator))),
			string(source)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files found: looking in the wrong place", len(files))
	}
	return files
}
