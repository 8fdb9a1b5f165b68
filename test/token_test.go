package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// as runs kubectl with a kubeconfig that was made for somebody.
func (h *host) as(kubeconfig string, args ...string) result {
	h.t.Helper()
	return runViaduct(h.t, "", append([]string{"kubectl", "--kubeconfig", kubeconfig}, args...)...)
}

// viaduct runs a command of ours, which must exit 0.
func (h *host) viaduct(args ...string) result {
	h.t.Helper()
	r := runViaduct(h.t, "", append(args, "--data-dir", h.dir)...)
	if r.code != 0 {
		h.t.Fatalf("viaduct %s: exit %d\n%s", strings.Join(args, " "), r.code, r.all())
	}
	return r
}

// failure is the error of a command that did not exit 0.
func (r result) failure() error {
	if r.code == 0 {
		return nil
	}
	return fmt.Errorf("exit %d\n%s", r.code, r.all())
}

func TestKubeconfigForSomebody(t *testing.T) {
	t.Parallel()
	h := up(t)
	alice := filepath.Join(t.TempDir(), "alice")
	h.viaduct("kubeconfig", "--user", "alice", "--role", "view", "-o", alice)
	if info, err := os.Stat(alice); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the kubeconfig: %v, %v", info, err)
	}
	eventually(t, "the role holds", func() error { return h.as(alice, "get", "services", "-A").failure() })
	r := h.as(alice, "create", "configmap", "mine")
	wantText(t, "create", r.stderr,
		`configmaps is forbidden: User "alice" cannot create resource "configmaps" in API group "" in the namespace "default"`)
	if got := h.as(alice, "auth", "can-i", "get", "pods"); got.stdout != "yes\n" {
		t.Errorf("can-i get pods: %s", got.all())
	}
	if got := h.as(alice, "auth", "can-i", "get", "secrets", "-n", "kube-system"); got.stdout != "no\n" || got.code != 1 {
		t.Errorf("can-i get secrets: %d %s", got.code, got.all())
	}
	wantText(t, "can-i --list", h.as(alice, "auth", "can-i", "--list").stdout, "Non-Resource URLs",
		"selfsubjectaccessreviews.authorization.k8s.io", "[get list watch]", "[/healthz]")
	wantText(t, "whoami", h.as(alice, "auth", "whoami").stdout, "Username", "alice", "[system:authenticated]")
	wantText(t, "can-i --as", h.kubectl("auth", "can-i", "list", "pods", "--as", "alice"), "yes")

	list := h.viaduct("token", "list").stdout
	wantText(t, "token list", list, "alice", "<none>", "in 364d")
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	wantText(t, "token delete", h.viaduct("token", "delete", id).stdout, "token "+id+" deleted\n")
	eventually(t, "the token is revoked", func() error {
		r := h.as(alice, "get", "services")
		if strings.Contains(r.stderr, "Unauthorized") || strings.Contains(r.stderr, "must be logged in") {
			return nil
		}
		return fmt.Errorf("exit %d\n%s", r.code, r.all())
	})
	if r := runViaduct(t, "", "token", "delete", id, "--data-dir", h.dir); r.code != 1 || !strings.Contains(r.stderr,
		"there is no token "+id) {
		t.Errorf("deleting it twice: %d %s", r.code, r.all())
	}
}

func TestTokensOfUsersAndAccounts(t *testing.T) {
	t.Parallel()
	h := up(t)
	token := strings.TrimSpace(h.viaduct("token", "create", "--user", "bob", "--group", "dev", "--role", "edit", "-n",
		"default").stdout)
	// the binding is there already
	again := h.viaduct("token", "create", "--user", "bob", "--role", "edit", "-n", "default")
	wantText(t, "what is said", again.stderr, "logs in bob until")
	// --validate=false: what cannot be patched kubectl takes for a custom resource, and asks for the definitions, which
	// are not served
	review := h.tryKubectl("{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: "+token+"}}",
		"create", "--validate=false", "-f", "-", "-o", "jsonpath={.status.authenticated} {.status.user.username} "+
			"{.status.user.groups}")
	wantText(t, "token review", review.all(), `true bob ["dev","system:authenticated"]`)
	wantText(t, "binding", h.kubectl("get", "rolebinding", "viaduct:edit:bob", "-o", "wide"), "ClusterRole/edit", "bob")
	wantText(t, "no role", h.viaduct("token", "create", "--user", "eve").stderr,
		"eve has only the rights of other bindings")
	if r := runViaduct(t, "", "token", "create", "--user", "bob", "--role", "emperor", "--data-dir", h.dir); r.code != 1 ||
		!strings.Contains(r.stderr, `there is no ClusterRole "emperor"`) {
		t.Errorf("a role that does not exist: %d %s", r.code, r.all())
	}
	h.kubectl("create", "serviceaccount", "robot")
	if jwt := h.kubectl("create", "token", "robot", "--duration", "10m"); strings.Count(jwt, ".") != 2 {
		t.Errorf("kubectl create token prints %q", jwt)
	}
	node := filepath.Join(t.TempDir(), "node")
	h.viaduct("kubeconfig", "--node", "far", "-o", node)
	eventually(t, "the node's agent logs in", func() error { return h.as(node, "get", "services", "-A").failure() })
}
