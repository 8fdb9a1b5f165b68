package test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestArchitecture compares ARCHITECTURE.md with the repository: its layout lists every package under internal/ and no
// other, and every path that it names in backticks exists.
func TestArchitecture(t *testing.T) {
	data, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := layout(string(data))
	var packages []string
	for _, f := range repository(t) {
		if folder, inside := strings.CutPrefix(f.folder(), "internal/"); inside && !slices.Contains(packages, folder) {
			packages = append(packages, folder)
		}
	}
	for _, wrong := range differences(packages, listed) {
		t.Error(wrong)
	}
	if len(differences([]string{"a"}, []string{"b"})) != 2 {
		t.Error("a layout that lists another package passes")
	}
	named := regexp.MustCompile("`((?:internal|cmd|docs|test|bench)/[^`…]*)`").FindAllStringSubmatch(string(data), -1)
	if len(named) < 40 {
		t.Errorf("only %d paths found", len(named))
	}
	for _, match := range named {
		if _, err := os.Stat(path.Join("..", match[1])); err != nil {
			t.Errorf("ARCHITECTURE.md names %s: %v", match[1], err)
		}
	}
}

// layout reads the folders below internal/ from the indented list in the layout of ARCHITECTURE.md.
func layout(text string) (folders []string) {
	_, text, _ = strings.Cut(text, "\ninternal/\n")
	var parents []string
	for line := range strings.Lines(text) {
		name, isFolder := strings.CutSuffix(strings.SplitN(strings.TrimSpace(line), " ", 2)[0], "/")
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if depth == 0 || !isFolder {
			break
		}
		parents = append(parents[:min(depth-1, len(parents))], name)
		folders = append(folders, path.Join(parents...))
	}
	return folders
}

// differences says which packages are not listed, and which listed folders are not packages.
func differences(packages, listed []string) (wrong []string) {
	for _, p := range packages {
		if !slices.Contains(listed, p) {
			wrong = append(wrong, fmt.Sprintf("ARCHITECTURE.md does not list internal/%s", p))
		}
	}
	for _, l := range listed {
		if !slices.Contains(packages, l) {
			wrong = append(wrong, fmt.Sprintf("ARCHITECTURE.md lists internal/%s, which is not a package", l))
		}
	}
	return wrong
}
