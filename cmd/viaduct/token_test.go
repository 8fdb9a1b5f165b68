package main

import (
	"strings"
	"testing"
)

func TestTokenCommandLines(t *testing.T) {
	for _, c := range []struct {
		args        string
		code        int
		out, errOut string // a part of each
	}{
		{"token", exitOK, "Create a token and print it", ""},
		{"token create --help", exitOK, "viaduct token create --user alice --role view", ""},
		{"token make", exitUsage, "", `unknown command "make"`},
		{"token create", exitUsage, "", "give --user NAME"},
		{"token create alice", exitUsage, "", `unexpected argument "alice"`},
		{"token create --user a --ttl -1h", exitUsage, "", "is negative"},
		{"token create --user a --ttl 1ms", exitUsage, "", "too short"},
		{"token create --user a --ttl soon", exitUsage, "", `invalid argument "soon"`},
		{"token create --user a -n here", exitUsage, "", "--role is not given"},
		{"token create --user a --group system:masters", exitUsage, "", "no role can limit system:masters"},
		{"token create --user system:serviceaccount:a:b", exitUsage, "", "kubectl create token"},
		{"token delete", exitUsage, "", "want the ID of a token"},
		{"token delete alice", exitUsage, "", `"alice" is not the ID of a token`},
		{"token list --data-dir /nowhere", exitError, "", "finding an API server"},
		{"kubeconfig", exitUsage, "", "give --user NAME or --node NAME"},
		{"kubeconfig --help", exitOK, "viaduct kubeconfig --node host-2", ""},
		{"kubeconfig --node a --user b", exitUsage, "", "leave out --user"},
		{"kubeconfig --user a --server http://10.0.0.1", exitUsage, "", "want a URL such as https://"},
	} {
		code, out, errOut := execute(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.errOut) {
			t.Errorf("viaduct %s: %d\n%s\n%s\nwant %d, %q, %q", c.args, code, out, errOut, c.code, c.out, c.errOut)
		}
	}
}
