package test

import (
	"fmt"
	"slices"
	"strings"
)

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
