package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The repository's own rules. Each check has a sample that must fail, for a check that cannot fail checks nothing.

const module = "viaduct"

// mayImport says which of our packages a package may import; "*" is any. A package is governed by its longest prefix
// here.
var mayImport = map[string][]string{
	"cmd/viaduct": {"*"},
	"bench": {"internal/annotations", "internal/healthcheck", "internal/apiserver/store",
		"internal/proxy/nft", "internal/routing"},
	"examples":             {},
	"test":                 {"*"},
	"internal/membership":  {"internal/annotations"},
	"internal/routing":     {"internal/annotations"},
	"internal/prober":      {},
	"internal/annotations": {},
	"internal/resolver":    {"internal/poller"},
	"internal/poller":      {},
	"internal/apiclient":   {},
	"internal/healthcheck": {"internal/annotations", "internal/prober", "internal/poller"},
	"internal/explain":     {"internal/membership", "internal/routing", "internal/annotations"},
	"internal/explain/collect": {"internal/explain", "internal/membership", "internal/routing", "internal/proxy",
		"internal/proxy/nft"},
	"internal/history": {"internal/membership"},
	"internal/loop":    {},
	"internal/leader":  {},
	"internal/endpoints": {"internal/membership", "internal/routing", "internal/explain", "internal/annotations",
		"internal/healthcheck", "internal/resolver", "internal/apiclient"},
	"internal/scheduler":    {"internal/apiclient"},
	"internal/supervisor":   {},
	"internal/gctuner":      {},
	"internal/datadir":      {},
	"internal/logging":      {},
	"internal/addressrange": {},
	"internal/waitfor":      {},
	"internal/apply":        {"internal/datadir"},
	"internal/networkmode":  {"internal/addressrange", "internal/node/network"},
	"internal/debugserver":  {},
	"internal/credentials":  {"internal/apiserver/tokens"},
	"internal/controllermanager": {"internal/debugserver", "internal/endpoints", "internal/history", "internal/leader",
		"internal/scheduler"},
	"internal/proxy/datapath": {"internal/proxy", "internal/proxy/nft", "internal/proxy/takeover",
		"internal/proxy/userspace", "internal/routing"},
	"internal/demo": {"internal/addressrange", "internal/apply", "internal/datadir", "internal/echo", "internal/waitfor",
		"examples"},
	"internal/echo":            {},
	"internal/narrate":         {"internal/apiclient"},
	"internal/proxy":           {"internal/routing", "internal/loop", "internal/apiclient"},
	"internal/nftables":        {},
	"internal/proxy/takeover":  {"internal/routing", "internal/nftables"}, // its test has Services carried
	"internal/proxy/userspace": {"internal/routing", "internal/proxy"},
	"internal/proxy/nft": {"internal/routing", "internal/proxy", "internal/proxy/conntrack",
		"internal/nftables"},
	"internal/proxy/conntrack": {"internal/routing"},
	"internal/proxy/proxytest": {"internal/routing", "internal/proxy"},

	"internal/node":             {"internal/apiclient", "internal/prober", "internal/node/runtime"},
	"internal/node/network":     {"internal/nftables"},
	"internal/node/runtime":     {},
	"internal/node/process":     {"internal/node/runtime", "internal/node/network"},
	"internal/node/runtimetest": {"internal/node/runtime"},

	"internal/apiserver": {
		"internal/apiserver/validation", "internal/apiserver/printers", "internal/apiserver/openapi",
		"internal/apiserver/access",
		"internal/apiserver/allocation", "internal/apiserver/lifecycle", "internal/apiserver/store",
		"internal/apiserver/tokens", "internal/apiserver/admission", "internal/apiserver/resource",
		"internal/annotations",
	},
	"internal/apiserver/resource": {},
	"internal/apiserver/admission": {"internal/apiserver/resource", "internal/apiserver/access",
		"internal/apiserver/tokens", "internal/annotations"},
	"internal/apiserver/access":       {"internal/apiserver/storagewatch"},
	"internal/apiserver/allocation":   {},
	"internal/apiserver/lifecycle":    {"internal/apiserver/storagewatch"},
	"internal/apiserver/storagewatch": {},
	"internal/apiserver/store":        {},
	"internal/apiserver/tokens":       {},
	"internal/apiserver/backup":       {"internal/apiserver/store"},
	"internal/apiserver/apitest":      {"internal/apiserver", "internal/apiserver/store"},
	"internal/apiserver/validation":   {},
	"internal/apiserver/drift":        {"internal/apiserver/validation", "internal/apiserver/access"}, // tests only
	"internal/apiserver/printers":     {},
	"internal/apiserver/openapi":      {},
}

// Test files may use the test support packages too.
var testSupport = []string{"internal/apiserver", "internal/apiserver/apitest", "internal/apiserver/store",
	"internal/proxy/proxytest", "internal/proxy/userspace", "internal/proxy/nft",
	"internal/node/process", "internal/node/runtimetest"}

// pure packages decide and do nothing else: they import no clock, randomness, log, context, file or socket.
var pure = map[string]bool{"internal/membership": true, "internal/annotations": true, "internal/explain": true,
	"internal/routing": true, "internal/apiserver/validation": true}

var impureImports = []string{
	"os", "net", "net/http", "log", "log/slog", "context", "math/rand", "math/rand/v2", "crypto/rand", "io/ioutil",
	"os/exec", "syscall",
	"k8s.io/klog/v2", "k8s.io/client-go/kubernetes",
}

var forbiddenPackageNames = []string{"util", "utils", "common", "helpers", "types", "model", "pkg", "misc"}

// A sourceFile is a Go file of this repository.
type sourceFile struct {
	path string // slash-separated, from the repository's root
	set  *token.FileSet
	ast  *ast.File
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

func parse(t *testing.T, name string, source any) sourceFile {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return sourceFile{path: name, set: set, ast: file}
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
		files = append(files, parse(t, filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator))), source))
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

// A rule returns what is wrong with a file, or nothing.
type rule func(f sourceFile) []string

func checkImports(f sourceFile) []string {
	var wrong []string
	for _, name := range f.imports() {
		if name == "k8s.io/kubernetes" || strings.HasPrefix(name, "k8s.io/kubernetes/") {
			wrong = append(wrong, name+" must not be imported")
		}
		ours, ok := strings.CutPrefix(name, module+"/")
		if ok && !allowed(f, ours) {
			wrong = append(wrong, fmt.Sprintf("%s may not import %s", f.folder(), ours))
		}
		if pure[f.folder()] && !f.isTest() && slices.Contains(impureImports, name) {
			wrong = append(wrong, fmt.Sprintf("%s is pure and may not import %s", f.folder(), name))
		}
	}
	return wrong
}

func allowed(f sourceFile, imported string) bool {
	if imported == f.folder() || f.isTest() && slices.Contains(testSupport, imported) {
		return true
	}
	list, known := mayImport[f.folder()]
	return known && (slices.Contains(list, "*") || slices.Contains(list, imported))
}

func checkKnownFolder(f sourceFile) []string {
	if _, known := mayImport[f.folder()]; !known {
		return []string{f.folder() + " has no row in mayImport"}
	}
	if slices.Contains(forbiddenPackageNames, f.ast.Name.Name) {
		return []string{"no package is to be called " + f.ast.Name.Name}
	}
	return nil
}

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

func (f sourceFile) line(n ast.Node) int { return f.set.Position(n.Pos()).Line }

func isTimeSleep(call *ast.SelectorExpr) bool {
	pkg, ok := call.X.(*ast.Ident)
	return ok && pkg.Name == "time" && call.Sel.Name == "Sleep"
}

func TestRules(t *testing.T) {
	rules := []struct {
		name   string
		check  rule
		path   string // of a sample that must fail
		sample string
	}{
		{"imports of ours", checkImports, "internal/routing/x.go", "package table\nimport _ \"viaduct/internal/membership\""},
		{"pure packages", checkImports, "internal/membership/x.go", "package membership\nimport _ \"log/slog\""},
		{"no k8s.io/kubernetes", checkImports, "internal/node/x.go",
			"package node\nimport _ \"k8s.io/kubernetes/pkg/apis/core\""},
		{"parts do not import one another", checkImports, "internal/endpoints/x.go",
			"package endpoints\nimport _ \"viaduct/internal/proxy\""},
		{"every folder is known", checkKnownFolder, "internal/misc/x.go", "package misc"},
		{"size of functions", checkSize, "internal/routing/x.go", "package table\nfunc f() {" + strings.Repeat("\n_ = 1",
			60) + "\n}"},
		{"size of files", checkSize, "internal/routing/x.go", "package table" + strings.Repeat("\n", 401)},
		{"no init", checkInit, "internal/routing/x.go", "package table\nfunc init() {}"},
		{"no sleep in tests", checkSleep, "internal/routing/x_test.go",
			"package table\nimport \"time\"\nfunc f() { time.Sleep(1) }"},
	}
	files := repository(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if len(r.check(parse(t, r.path, r.sample))) == 0 {
				t.Errorf("the sample passes, and must not:\n%s", r.sample)
			}
			for _, f := range files {
				for _, wrong := range r.check(f) {
					t.Errorf("%s: %s", f.path, wrong)
				}
			}
		})
	}
}
