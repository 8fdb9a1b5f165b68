package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// execute runs one command line and returns its exit code and what it printed.
func execute(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, console{In: strings.NewReader(""), Out: &o, Err: &e, Started: time.Now()})
	return code, o.String(), e.String()
}

func TestCommandLines(t *testing.T) {
	for _, c := range []struct {
		args        []string
		code        int
		out, errOut string // a part of each
	}{
		{nil, exitOK, "All components in one process:", ""},
		{[]string{"--help"}, exitOK, "viaduct demo", ""},
		{[]string{"version"}, exitOK, "kubernetes  v1.", ""},
		{[]string{"completion", "bash"}, exitOK, "bash completion", ""},
		{[]string{"uq"}, exitUsage, "", `unknown command "uq" (did you mean up?)`},
		{[]string{"version", "twice"}, exitUsage, "", `unexpected argument "twice"`},
		{[]string{"version", "--nope"}, exitUsage, "", "unknown flag: --nope"},
		{[]string{"--log-format", "xml", "version"}, exitUsage, "", "want one of text, json"},
		{[]string{"echo", "--listen", "here"}, exitUsage, "", "want an IP address and a port"},
		{[]string{"kubectl", "--data-dir"}, exitUsage, "", "flag needs an argument"},
		{[]string{"up", "--service-cidr", "10.0.0.0/16", "--proxy", "userspace"}, exitUsage, "", "not inside 127.0.0.0/8"},
		{[]string{"server", "--service-cidr", "10.0.0.0/30"}, exitUsage, "", "too small"},
		{[]string{"server", "--service-cidr", "127.1.2.3/16"}, exitUsage, "", "want 127.1.0.0/16"},
		{[]string{"server", "--etcd-servers", "10.0.0.1:2379"}, exitUsage, "", "is not the URL of an etcd server"},
		{[]string{"up", "--etcd-servers", "http://10.0.0.1:2379", "--etcd-cafile", "ca.crt"}, exitUsage, "",
			"would not be encrypted"},
		{[]string{"server", "--advertise-address", "0.0.0.0"}, exitUsage, "", "want an IP address such as"},
		{[]string{"proxy", "--take-over", "--proxy", "userspace"}, exitUsage, "", "needs --proxy=nft or auto"},
		{[]string{"proxy", "cleanup", "all"}, exitUsage, "", `unexpected argument "all"`},
		{[]string{"backup"}, exitUsage, "", "want exactly one FILE"},
	} {
		code, out, errOut := execute(c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.errOut) {
			t.Errorf("viaduct %q: %d\n%s\n%s\nwant %d, %q, %q", c.args, code, out, errOut, c.code, c.out, c.errOut)
		}
		if code != exitOK && !strings.HasPrefix(errOut, "viaduct: ") {
			t.Errorf("viaduct %q: stderr starts %q", c.args, errOut)
		}
	}
}

func TestCutDataDir(t *testing.T) {
	for _, c := range []struct{ in, rest, dir string }{
		{"get pods", "get pods", ""},
		{"--data-dir /d get pods", "get pods", "/d"},
		{"--data-dir=/d get pods", "get pods", "/d"},
		{"get pods --data-dir /d", "get pods --data-dir /d", ""},
	} {
		dir, rest, err := cutDataDir(strings.Fields(c.in))
		if err != nil || dir != c.dir || !slices.Equal(rest, strings.Fields(c.rest)) {
			t.Errorf("%q: %q, %q, %v", c.in, dir, rest, err)
		}
	}
}

func TestHasFlag(t *testing.T) {
	for in, want := range map[string]bool{
		"get pods --kubeconfig x": true, "--kubeconfig=x get": true, "exec web -- cmd --kubeconfig x": false,
		"get --kubeconfigs": false,
	} {
		if got := hasFlag(strings.Fields(in), "--kubeconfig"); got != want {
			t.Errorf("%q: %t, want %t", in, got, want)
		}
	}
}

// `kubectl version` fails on its own version unless this works.
func TestKubernetesVersionIsClaimed(t *testing.T) {
	if err := claimKubernetesVersion(); err != nil {
		t.Fatal(err)
	}
	if got := kubernetesGitVersion; !strings.HasPrefix(got, "v1.") {
		t.Errorf("the libraries say %q, want v1.x", got)
	}
}
