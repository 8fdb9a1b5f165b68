package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ranges are Service and Pod addresses for one test of this process.
func ranges(n int) []string {
	base := fmt.Sprintf("127.%d.%d", 16+os.Getpid()%80, n*32)
	return []string{"--service-cidr", base + ".0/24", "--pod-cidr", fmt.Sprintf("127.%d.%d.0/24", 16+os.Getpid()%80,
		n*32+1)}
}

// viaduct makes a process of the command: one that runs parts changes what is global to a process, such as klog's sink.
func viaduct(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "VIADUCT_TEST_MAIN=1")
	return cmd
}

// startUp runs `viaduct up` until the test ends, and returns what it printed up to the line "ready in".
func startUp(t *testing.T, dataDir string, args ...string) (lines []string, rest *bufio.Scanner, pid int) {
	t.Helper()
	up := viaduct(context.Background(), append([]string{"up", "--data-dir", dataDir, "--listen", "127.0.0.1:0",
		"--runtime", "none", "--node-name", "n"}, args...)...)
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	up.Stderr = &errOut
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		up.Process.Signal(syscall.SIGTERM)
		io.Copy(io.Discard, out)
		if err := up.Wait(); err != nil {
			t.Errorf("up ended with %v, want 0:\n%s", err, &errOut)
		}
	})
	rest = bufio.NewScanner(out)
	for rest.Scan() {
		lines = append(lines, rest.Text())
		if strings.HasPrefix(rest.Text(), "ready in ") {
			return lines, rest, up.Process.Pid
		}
	}
	t.Fatalf("up never was ready: %q", lines)
	return nil, nil, 0
}

// refused runs a command that must end by itself, and returns its exit code and what it says on stderr.
func refused(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := viaduct(t.Context(), args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errOut.String()
}

func TestUpTellsWhereItIsAndRefusesASecond(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	lines, _, pid := startUp(t, dataDir, ranges(0)...)
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "api         https://127.0.0.1:") ||
		lines[1] != "kubeconfig  "+dataDir+"/kubeconfig" {
		t.Errorf("it says %q", lines)
	}
	for path, want := range map[string]os.FileMode{dataDir: 0o700, filepath.Join(dataDir, "kubeconfig"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %o", path, info.Mode(), err, want)
		}
	}
	code, errOut := refused(t, "up", "--data-dir", dataDir)
	if want := fmt.Sprintf("is held by process %d (", pid); code != exitError || !strings.Contains(errOut, want) {
		t.Errorf("a second up: %d %q, want %q", code, errOut, want)
	}
	code, errOut = refused(t, "agent", "--data-dir", dataDir)
	if code != exitError || !strings.Contains(errOut, "agent.lock is held by process") {
		t.Errorf("an agent beside it: %d %q, want that it is refused", code, errOut)
	}
}

func TestUpAppliesAndTells(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	text := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 8080}]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := startUp(t, t.TempDir(), append(ranges(1), "-f", file)...)
	want := map[string]bool{"service/web created": true, "service default/web created: 127.": true}
	for len(want) > 0 && rest.Scan() {
		for part := range want {
			if strings.Contains(rest.Text(), part) {
				delete(want, part)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("up ended before it told %v", want)
	}
}

func TestUpRefusesBadFlags(t *testing.T) {
	for _, c := range []struct{ args, why string }{
		{"--service-cidr 127.96.0.0/16 --pod-cidr 10.0.0.0/16", "--pod-cidr 10.0.0.0/16 is not inside 127.0.0.0/8"},
		{"--proxy userspace --service-cidr 10.96.0.0/16", "is not inside 127.0.0.0/8"},
		{"--service-cidr 127.96.0.0/16 --pod-cidr 127.96.0.0/16", "overlap"},
		{"--proxy fast", "want one of auto, nft, userspace, none"},
		{"--runtime docker", "want one of process, none"},
		{"--node-name Not_A_Name", "lower case"},
		{"-f /does/not/exist.yaml", "no such file"},
		{"--listen 7443", "want an IP address and a port"},
	} {
		code, _, errOut := execute(append([]string{"up", "--data-dir", t.TempDir()}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(errOut, c.why) {
			t.Errorf("up %s: %d %q, want 2 and %q", c.args, code, errOut, c.why)
		}
	}
}

func TestPartsAloneNeedAServer(t *testing.T) {
	for _, name := range []string{"controller", "proxy", "agent"} {
		code, _, errOut := execute(name, "--data-dir", t.TempDir())
		if code != exitError || !strings.Contains(errOut, "start 'viaduct server' first, or give --kubeconfig") {
			t.Errorf("%s: %d %q, want what to do", name, code, errOut)
		}
	}
	if code, _, errOut := execute("controller", "--controllers", "endpoints,pods"); code != exitUsage ||
		!strings.Contains(errOut, `unknown controller "pods"`) {
		t.Errorf("an unknown controller: %d %q", code, errOut)
	}
	if code, _, errOut := execute("proxy", "--proxy", "none"); code != exitUsage || !strings.Contains(errOut,
		"nothing to do") {
		t.Errorf("no proxy: %d %q", code, errOut)
	}
}
