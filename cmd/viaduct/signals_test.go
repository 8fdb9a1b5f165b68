package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestMain lets a test run this binary again, as viaduct or as a process that ignores the first signal.
func TestMain(m *testing.M) {
	if os.Getenv("VIADUCT_TEST_MAIN") != "" {
		main()
	}
	if os.Getenv("VIADUCT_TEST_STUBBORN") != "" {
		stayStubborn()
	}
	os.Exit(m.Run())
}

// stayStubborn is a process that does not stop after the first signal.
func stayStubborn() {
	ctx, _ := onSignal(context.Background(), os.Stderr)
	fmt.Println("up")
	<-ctx.Done()
	fmt.Println("stopping")
	select {}
}

func TestSecondSignalLeavesAtOnce(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "VIADUCT_TEST_STUBBORN=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	says := bufio.NewScanner(out)
	for _, want := range []string{"up", "stopping"} {
		if !says.Scan() || says.Text() != want {
			t.Fatalf("it says %q, want %q", says.Text(), want)
		}
		if err := child.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v, want code %d", err, exitInterrupted)
	}
}
