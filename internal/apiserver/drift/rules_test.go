package drift

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A declaredRule is what Viaduct does about one rule of declarative validation (KEP-5073), which the API library
// declares in a comment of types.go.
type declaredRule struct {
	broken func() field.ErrorList // validates an object that breaks the rule
	want   string                 // the error that must be among them: its kind and its path
	reason string                 // why Viaduct does not enforce the rule; then broken is nil
}

// stage is what a rule is wrapped in until it is enforced by all servers.
var stage = regexp.MustCompile(`^\+k8s:(alpha|beta)\([^)]*\)=`)

// rulesOf lists the rules that the library declares for the served types. Those of package meta are left out, since
// Viaduct calls the library's own validation of metadata and conditions.
func rulesOf(t *testing.T) []string {
	t.Helper()
	var all []string
	for path, types := range servedStructs() {
		if shortPackage(path) == "meta.v1" {
			continue
		}
		source := readSource(t, sourceOf(t, path))
		for _, typ := range types {
			for i := range typ.NumField() {
				name := typ.Name() + "." + typ.Field(i).Name
				for _, marker := range source.fields[name].markers {
					if rule := stage.ReplaceAllString(marker, ""); strings.HasPrefix(rule, "+k8s:") {
						all = append(all, shortPackage(path)+"."+name+" "+rule)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// shortKinds are the kinds of errors as rows name them.
var shortKinds = map[field.ErrorType]string{
	field.ErrorTypeRequired: "Required", field.ErrorTypeInvalid: "Invalid", field.ErrorTypeForbidden: "Forbidden",
	field.ErrorTypeTooMany: "TooMany", field.ErrorTypeNotSupported: "NotSupported",
}

// check returns what is wrong with a row, or "".
func (r declaredRule) check() string {
	if r.broken == nil {
		if r.reason == "" {
			return "the row has neither an object nor a reason"
		}
		return ""
	}
	var found []string
	for _, err := range r.broken() {
		found = append(found, shortKinds[err.Type]+" "+err.Field)
	}
	if slices.Contains(found, r.want) {
		return ""
	}
	return fmt.Sprintf("validation answers %q, want %q among them", found, r.want)
}

// unmatched compares the declared rules with the rows that exist for them.
func unmatched(declared []string, rows map[string]declaredRule) []string {
	var complaints []string
	for _, rule := range declared {
		if _, ok := rows[rule]; !ok {
			complaints = append(complaints, rule+": the library declares this rule, and declaredRules has no row for it")
		}
	}
	for rule := range rows {
		if !slices.Contains(declared, rule) {
			complaints = append(complaints, rule+": declaredRules has a row, and the library does not declare this rule")
		}
	}
	slices.Sort(complaints)
	return complaints
}

// TestDeclaredRules breaks every rule that the library declares and wants Viaduct's validation to notice.
func TestDeclaredRules(t *testing.T) {
	for _, complaint := range unmatched(rulesOf(t), declaredRules) {
		t.Error(complaint)
	}
	for rule, row := range declaredRules {
		if wrong := row.check(); wrong != "" {
			t.Errorf("%s: %s", rule, wrong)
		}
	}
}
