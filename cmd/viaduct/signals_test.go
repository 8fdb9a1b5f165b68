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

// stayStubborn is a process that has been told to stop and does not.
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
