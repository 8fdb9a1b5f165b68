package drift

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared is what the source of a library says of one field or type beside its Go type.
type declared struct {
	markers []string // such as +default="TCP", without those of ignoredMarkers
	text    string   // the rest of the comment on one line
}

// packageSource is what the file types.go of one API package declares.
type packageSource struct {
	fields map[string]declared // by Type.GoField
	types  map[string]declared
	values map[string][]string // the constants of each named string type, sorted
}

// ignoredMarkers do not change what a server has to do, or they reach the server through generated code: the list types
// through the OpenAPI models, the patch strategies through struct tags.
var ignoredMarkers = regexp.MustCompile(`^\+(optional|required|nullable|genclient.*|patch.*|listType.*|listMapKey.*|` +
	`mapType.*|structType.*|protobuf.*|kubebuilder.*|k8s:deepcopy.*|k8s:prerelease.*|k8s:optional|k8s:listType.*|` +
	`k8s:(alpha|beta)\(.*\)=\+k8s:optional|k8s:listMapKey.*|k8s:conversion.*|k8s:openapi.*|k8s:supportsSubresource.*|k8s:(.*\+k8s:)?opaqueType|k8s:protobuf.*)$`)

// isMarker tells markers from text and from the lines of drawn tables.
var isMarker = regexp.MustCompile(`^\+[a-zA-Z]`)

// readSource parses the file types.go of one folder.
func readSource(t *testing.T, folder string) packageSource {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, "types.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	src := packageSource{map[string]declared{}, map[string]declared{}, map[string][]string{}}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				src.addType(spec, group.Doc)
			case *ast.ValueSpec:
				src.addValue(spec)
			}
		}
	}
	for name := range src.values {
		slices.Sort(src.values[name])
	}
	return src
}

func (s packageSource) addType(spec *ast.TypeSpec, doc *ast.CommentGroup) {
	s.types[spec.Name.Name] = parseComment(doc)
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			s.fields[spec.Name.Name+"."+name.Name] = parseComment(f.Doc)
		}
	}
}

// addValue notes a constant of a named string type.
func (s packageSource) addValue(spec *ast.ValueSpec) {
	named, ok := spec.Type.(*ast.Ident)
	if !ok || len(spec.Values) != 1 {
		return
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	if value, err := strconv.Unquote(literal.Value); err == nil && !slices.Contains(s.values[named.Name], value) {
		s.values[named.Name] = append(s.values[named.Name], value)
	}
}

func parseComment(doc *ast.CommentGroup) declared {
	var d declared
	if doc == nil {
		return d
	}
	var text []string
	for _, comment := range doc.List {
		line := strings.TrimSpace(strings.TrimPrefix(comment.Text, "//"))
		switch {
		case !isMarker.MatchString(line):
			text = append(text, line)
		case !ignoredMarkers.MatchString(line):
			d.markers = append(d.markers, line)
		}
	}
	d.text = strings.Join(text, " ")
	return d
}

// saysDefault finds the sentences by which Kubernetes documents a default.
var saysDefault = regexp.MustCompile(
	`(?i)\bdefaults? (?:value )?(?:is|to|is set to|of) +["']?([-\w./ ]{1,40}?)["']?(?:[.,;:)]|$)`)

// documentedDefault returns the default that a field's documentation names, or "".
func (d declared) documentedDefault() string {
	if found := saysDefault.FindStringSubmatch(d.text); found != nil {
		return strings.TrimSpace(found[1])
	}
	return ""
}
