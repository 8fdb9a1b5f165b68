package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A file is a Go file that is not generated.
type file struct {
	path   string // slash-separated, from the root
	set    *token.FileSet
	ast    *ast.File
	lines  []string
	isTest bool
}

func (f *file) folder() string         { return path.Dir(f.path) }
func (f *file) line(pos token.Pos) int { return f.set.Position(pos).Line }
func (f *file) linesOf(n ast.Node) int { return f.line(n.End()) - f.line(n.Pos()) + 1 }

// readFiles parses the Go files under root, without hidden folders, testdata and generated files.
func readFiles(root string) (files []*file, err error) {
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parseFile(filepath.ToSlash(relative), source)
		if err == nil && !ast.IsGenerated(f.ast) {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func parseFile(name string, source []byte) (*file, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &file{path: name, set: set, ast: tree, lines: strings.Split(strings.TrimSuffix(string(source), "\n"), "\n"),
		isTest: strings.HasSuffix(name, "_test.go")}, nil
}
