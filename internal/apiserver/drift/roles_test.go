package drift

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/access"
)

const identitiesComment = `The users and groups that k8s.io/apiserver names.

The second column says whether a built-in binding of Viaduct names them too. The test
computes the answers; a person decides only that they are right.
Written by go test ./internal/apiserver/drift -update.
`

// identities returns the names of users and groups that the library exports.
func identities(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(moduleDir(t, "k8s.io/apiserver"), "pkg", "authentication", "user", "user.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil && strings.HasPrefix(name, "system:") {
				names = append(names, name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func TestIdentities(t *testing.T) {
	bindings := access.Reconcile(access.Objects{}).Bindings
	var have []entry
	for _, name := range identities(t) {
		answer := "no binding"
		for _, b := range bindings {
			if slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool { return s.Name == name }) {
				answer = "bound"
			}
		}
		have = append(have, entry{group: "k8s.io/apiserver/pkg/authentication/user", name: name, facts: answer})
	}
	compareRecord(t, "identities.txt", identitiesComment, have, nil)
}

// builtInRole returns the built-in role of this name.
func builtInRole(t *testing.T, name string) rbacv1.ClusterRole {
	t.Helper()
	roles := access.Reconcile(access.Objects{}).Roles
	i := slices.IndexFunc(roles, func(r rbacv1.ClusterRole) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("there is no built-in role %s", name)
	}
	return roles[i]
}

// notInClient are the names in rules that no typed client uses, each with the reason.
var notInClient = map[string]string{
	"endpoints/restricted": "a permission without a resource: it lets a writer use addresses of the cluster",
	"pods/attach":          "a connection, not a typed call",
	"pods/exec":            "a connection, not a typed call",
	"pods/portforward":     "a connection, not a typed call",
	"pods/proxy":           "a connection, not a typed call",
	"bindings":             "the deprecated form of pods/binding",
}

// TestRolesNameResources wants every resource that a built-in role names to be one of client-go: a resource that
// upstream renames or removes shows here.
func TestRolesNameResources(t *testing.T) {
	known := map[string]bool{}
	for gv, client := range groupClients() {
		resources, _ := clientResources(client)
		for _, resource := range resources {
			known[gv.Group+" "+resource] = true
		}
	}
	for _, role := range access.Reconcile(access.Objects{}).Roles {
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				if rule.APIGroups[0] == "*" || notInClient[resource] != "" || known[rule.APIGroups[0]+" "+resource] {
					continue
				}
				t.Errorf("role %s names %s of group %q, which client-go does not have", role.Name, resource, rule.APIGroups[0])
			}
		}
	}
}

// hiddenFromView are the namespaced resources that the role view does not read, each with upstream's reason.
var hiddenFromView = map[string]string{
	"secrets":                   "they hold credentials",
	"roles":                     "they would show who can escalate",
	"rolebindings":              "they would show who can escalate",
	"leases":                    "only edit has them",
	"localsubjectaccessreviews": "a question, not an object",
}

// TestViewReadsServedResources wants a decision about every namespaced resource that the server serves: the role view
// reads the resource, or hiddenFromView says why not.
func TestViewReadsServedResources(t *testing.T) {
	view := builtInRole(t, "view")
	for gv, list := range served(t) {
		for _, r := range list.APIResources {
			if !r.Namespaced || strings.Contains(r.Name, "/") {
				continue
			}
			reads := slices.ContainsFunc(view.Rules, func(rule rbacv1.PolicyRule) bool {
				return rule.APIGroups[0] == gv.Group && slices.Contains(rule.Resources, r.Name) &&
					slices.Contains(rule.Verbs, "get")
			})
			if hidden := hiddenFromView[r.Name] != ""; reads == hidden {
				t.Errorf("%s of group %q: the role view reads them: %v, hiddenFromView names them: %v", r.Name, gv.Group, reads,
					hidden)
			}
		}
	}
}
