package drift

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// selectors returns the Go names after a dot, or before a colon, in the code that visit accepts.
func selectors(t *testing.T, accept func(path string) bool) map[string]bool {
	t.Helper()
	named := map[string]bool{}
	pattern := regexp.MustCompile(`\.([A-Z]\w*)|\b([A-Z]\w*):`)
	root := filepath.Join("..", "..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.Contains(path, "zz_generated") || !accept(filepath.ToSlash(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range pattern.FindAllStringSubmatch(string(text), -1) {
			named[found[1]+found[2]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// TestDecisionsHaveCode wants a field that a record calls honoured to be named by code outside validation and printers,
// and one that it calls checked to be named by validation.
func TestDecisionsHaveCode(t *testing.T) {
	inValidation := func(path string) bool { return strings.Contains(path, "apiserver/validation/") }
	passive := func(path string) bool { return inValidation(path) || strings.Contains(path, "apiserver/printers/") }
	code := map[string]map[string]bool{
		"honoured": selectors(t, func(path string) bool { return !passive(path) }),
		"checked":  selectors(t, inValidation),
	}
	for path, types := range servedStructs() {
		record, err := os.ReadFile(filepath.Join("testdata", "fields-"+shortPackage(path)+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		known := decisions(string(record))
		for _, typ := range types {
			for i := range typ.NumField() {
				f := typ.Field(i)
				decision := known[typ.Name()+" "+jsonName(f)]
				if named, ok := code[decision]; ok && !f.Anonymous && !named[f.Name] {
					t.Errorf("%s.%s is recorded as %s, and no such code names %s", shortPackage(path), typ.Name(), decision, f.Name)
				}
			}
		}
	}
}
