package test

import (
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
	"test/house":           {},
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
		"internal/proxy/userspace", "internal/routing", "internal/nftables"},
	"internal/demo": {"internal/addressrange", "internal/apply", "internal/datadir", "internal/echo", "internal/waitfor",
		"examples"},
	"internal/echo":            {},
	"internal/narrate":         {"internal/apiclient"},
	"internal/proxy":           {"internal/routing", "internal/loop", "internal/apiclient", "internal/annotations"},
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

	"internal/apiserver": {"internal/annotations",
		"internal/apiserver/access", "internal/apiserver/admission", "internal/apiserver/allocation",
		"internal/apiserver/authentication", "internal/apiserver/bootstrap", "internal/apiserver/connect",
		"internal/apiserver/inprocess", "internal/apiserver/kinds", "internal/apiserver/lifecycle",
		"internal/apiserver/openapi", "internal/apiserver/pki", "internal/apiserver/resource",
		"internal/apiserver/reviews", "internal/apiserver/store", "internal/apiserver/tokens",
		"internal/apiserver/validation",
	},
	"internal/apiserver/resource": {"internal/apiserver/store"},
	"internal/apiserver/kinds": {"internal/apiserver/resource", "internal/apiserver/store",
		"internal/apiserver/allocation", "internal/apiserver/printers", "internal/apiserver/validation"},
	"internal/apiserver/admission": {"internal/apiserver/resource", "internal/apiserver/access",
		"internal/apiserver/tokens", "internal/annotations"},
	"internal/apiserver/authentication": {"internal/apiserver/resource", "internal/apiserver/tokens",
		"internal/apiserver/validation", "internal/apiserver/pki"},
	"internal/apiserver/reviews": {"internal/apiserver/resource", "internal/apiserver/validation"},
	"internal/apiserver/connect": {"internal/apiserver/resource"},
	"internal/apiserver/bootstrap": {"internal/apiserver/kinds", "internal/apiserver/resource",
		"internal/apiserver/access", "internal/apiserver/store"},
	"internal/apiserver/inprocess":    {},
	"internal/apiserver/pki":          {"internal/apiserver/tokens"},
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

// pure packages decide and do nothing else: they import no log, context, file or socket, read no clock, draw no random
// number and start no goroutine, and their results do not depend on the order of a map.
var pure = map[string]bool{"internal/membership": true, "internal/annotations": true, "internal/explain": true,
	"internal/routing": true, "internal/apiserver/validation": true}

// pureFiles are files of other packages that keep the same rule.
var pureFiles = []string{"internal/node/env.go", "internal/node/status.go", "internal/prober/state.go",
	"internal/healthcheck/flap.go", "internal/scheduler/choose.go", "internal/proxy/nft/compile.go",
	"internal/proxy/userspace/compile.go"}

var impureImports = []string{
	"os", "net", "net/http", "log", "log/slog", "context", "math/rand", "math/rand/v2", "crypto/rand", "io/ioutil",
	"os/exec", "syscall",
	"k8s.io/klog/v2", "k8s.io/client-go/kubernetes",
}

var forbiddenPackageNames = []string{"util", "utils", "common", "helpers", "types", "model", "pkg", "misc"}

// A rule returns what is wrong with a file, or nothing.
type rule func(f sourceFile) []string

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
		{"width of lines", checkWidth, "internal/routing/x_test.go", "package routing // " + strings.Repeat("wide ", 30)},
		{"width of lines with a literal", checkWidth, "internal/routing/x.go",
			"package routing; const s = \"" + strings.Repeat("wide ", 30) + "\""},
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
