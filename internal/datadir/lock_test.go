package datadir

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain lets a test run this binary again as a process that holds a lock.
func TestMain(m *testing.M) {
	if dir := os.Getenv("VIADUCT_TEST_HOLD"); dir != "" {
		holdLock(dir)
	}
	os.Exit(m.Run())
}

// holdLock takes the server's lock, prints "held", and waits to be killed.
func holdLock(dir string) {
	if _, err := take(dir, ServerLock); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	select {}
}

func TestLockIsRefusedWhileHeld(t *testing.T) {
	dir := t.TempDir()
	first, err := take(dir, ServerLock)
	if err != nil {
		t.Fatal(err)
	}
	_, err = take(dir, ServerLock)
	var held HeldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v, want a HeldError", err)
	}
	if held.By.PID != os.Getpid() || held.By.Since.IsZero() || held.By.Command == "" {
		t.Errorf("the holder is %+v, want this process", held.By)
	}
	for _, want := range []string{"process ", " since ", held.Path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not contain %q", err, want)
		}
	}
	first.release()
	again, err := take(dir, ServerLock)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again.release()
}

func TestLockEndsWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "VIADUCT_TEST_HOLD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "held\n" {
		t.Fatalf("the child prints %q", line)
	}
	var held HeldError
	if _, err := take(dir, ServerLock); !errors.As(err, &held) || held.By.PID != child.Process.Pid {
		t.Fatalf("got %v, want it held by %d", err, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() // always "signal: killed"
	l, err := take(dir, ServerLock)
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	l.release()
}

func TestLockTakesAllOrNone(t *testing.T) {
	dir := t.TempDir()
	agent, err := take(dir, AgentLock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir, ServerLock, AgentLock); err == nil {
		t.Fatal("took a lock that is held")
	}
	agent.release()
	release, err := Lock(dir, ServerLock, AgentLock)
	if err != nil {
		t.Fatalf("one was left behind: %v", err)
	}
	release()
}

func TestLockWithoutDirectory(t *testing.T) {
	if _, err := take(t.TempDir()+"/missing", ServerLock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory is missing", err)
	}
}

func TestDefault(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{nil, 0, "/var/lib/viaduct"},
		{map[string]string{"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/viaduct"},
		{map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, 1000, "/data/viaduct"},
		{map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "relative"}, 1000, "/home/ada/.local/share/viaduct"},
		{map[string]string{Env: "/mine"}, 0, "/mine"},
	} {
		if got := Default(func(k string) string { return c.env[k] }, c.uid); got != c.want {
			t.Errorf("%v uid %d: got %s, want %s", c.env, c.uid, got, c.want)
		}
	}
}
