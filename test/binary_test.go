package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"
)

// The tests of this package that are not rules run the built binary as a person would, and look at it from outside: by
// kubectl, by connections, and by what /proc says of its processes and sockets.

// workDir is for what all tests share; TestMain removes it. One test runs as another user, so everybody may look into
// it.
var workDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "viaduct-e2e-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
})

// build builds viaduct once, for the first test that needs it, unless $VIADUCT_BINARY names one. The environment is
// left as it is, so that the build cache is the developer's. The file is called viaduct, as an installed one is: Pods
// find it by that name.
var build = sync.OnceValues(func() (path string, err error) {
	if path := os.Getenv("VIADUCT_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := workDir()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "viaduct")
	if out, err := exec.Command("go", "build", "-o", path, "viaduct/cmd/viaduct").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building viaduct: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if insideNamespace() {
		os.Exit(runInside(os.Args[1:]))
	}
	if config := os.Getenv(etcdVariable); config != "" {
		os.Exit(runEtcd(config))
	}
	if os.Getenv(curlVariable) != "" {
		os.Exit(curl(os.Args[1:]))
	}
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // that a server was killed is no news here
	code := m.Run()
	if dir, err := workDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func viaductPath(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// commandTimeout bounds a command that ends by itself.
const commandTimeout = 60 * time.Second

// A result is how a command ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) all() string { return r.stdout + r.stderr }

// runViaduct runs the binary to its end, with stdin if not empty.
func runViaduct(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	return finish(t, viaductCommand(t, args...), stdin)
}

func viaductCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(viaductPath(t), args...)
	cmd.Env = cleanEnvironment(t)
	return cmd
}

// cleanEnvironment is the caller's without what would point the binary at another cluster or data directory.
func cleanEnvironment(t testing.TB) []string {
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "LANG=C"}
	if cover := os.Getenv("GOCOVERDIR"); cover != "" {
		env = append(env, "GOCOVERDIR="+cover)
	}
	return env
}

// finish runs cmd to its end. A command that does not end is killed, and fails the test.
func finish(t testing.TB, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var out, errs transcript
	cmd.Stdout, cmd.Stderr = &out, &errs
	if stdin != "" {
		in, err := stdinOf(cmd, stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer in()
	}
	inGroup(cmd)
	cmd.WaitDelay = time.Second // what it started may hold its outputs open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", cmd.Args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v did not end in %s\n%s%s", cmd.Args, commandTimeout, out.text(), errs.text())
	}
	return result{stdout: out.text(), stderr: errs.text(), code: cmd.ProcessState.ExitCode()}
}

// inGroup makes cmd the leader of a process group of its own, which can be killed whole, and which the terminal's
// Ctrl-C does not reach.
func inGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

func stdinOf(cmd *exec.Cmd, text string) (closeIt func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = r
	go func() {
		w.WriteString(text) // a command that does not read it says so itself
		w.Close()
	}()
	return func() { r.Close() }, nil
}
