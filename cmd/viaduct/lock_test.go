package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain lets a test run this binary again: as viaduct, as a process that holds a lock, as one that does not stop
// when told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("VIADUCT_TEST_HOLD"); dir != "" {
		holdLock(dir)
	}
	if os.Getenv("VIADUCT_TEST_MAIN") != "" {
		main()
	}
	if os.Getenv("VIADUCT_TEST_STUBBORN") != "" {
		stayStubborn()
	}
	os.Exit(m.Run())
}

// holdLock takes the server's lock, says so, and waits to be killed.
func holdLock(dir string) {
	if _, err := takeLock(dir, serverLock); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(exitError)
	}
	os.Stdout.WriteString("held\n")
	select {}
}

func TestLockIsRefusedWhileHeld(t *testing.T) {
	dir := t.TempDir()
	first, err := takeLock(dir, serverLock)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(dir, serverLock)
	var held heldError
	if !errors.As(err, &held) {
		t.Fatalf("got %v, want a heldError", err)
	}
	if held.by.PID != os.Getpid() || held.by.Since.IsZero() || held.by.Command == "" {
		t.Errorf("it says %+v is holding it, want this process", held.by)
	}
	for _, want := range []string{"process ", " since ", held.path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	first.release()
	again, err := takeLock(dir, serverLock)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again.release()
}

func TestLockGoesWithItsProcess(t *testing.T) {
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
		t.Fatalf("the child says %q", line)
	}
	var held heldError
	if _, err := takeLock(dir, serverLock); !errors.As(err, &held) || held.by.PID != child.Process.Pid {
		t.Fatalf("got %v, want it held by %d", err, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() // always "signal: killed"
	l, err := takeLock(dir, serverLock)
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	l.release()
}

func TestTakeLocksTakesAllOrNone(t *testing.T) {
	dir := t.TempDir()
	agent, err := takeLock(dir, agentLock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLocks(dir, serverLock, agentLock); err == nil {
		t.Fatal("took a lock that is held")
	}
	agent.release()
	release, err := takeLocks(dir, serverLock, agentLock)
	if err != nil {
		t.Fatalf("one was left behind: %v", err)
	}
	release()
}

func TestLockWithoutDirectory(t *testing.T) {
	if _, err := takeLock(t.TempDir()+"/missing", serverLock); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory is missing", err)
	}
}
