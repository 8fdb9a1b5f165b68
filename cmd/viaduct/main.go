// Command viaduct is the whole of Viaduct in one binary: an API server, the controllers, the service proxy, a node
// agent, and kubectl to drive them. This package holds flags, wiring and printing; it must not decide anything about a
// Service.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"viaduct/internal/gctuner"
	"viaduct/internal/supervisor"
)

const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitInterrupted = 130 // what a shell reports for a program ended by SIGINT
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Started: time.Now()}))
}

// A console is where a command reads and prints, and when it was started.
type console struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Started time.Time // the zero of "ready in N ms"
}

// run executes one command line and returns its exit code: 0, 1 for an error, 2 for a command line that makes no sense.
func run(ctx context.Context, args []string, con console) int {
	root := newRoot(con)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errUnhealthy) {
		return exitError // what was asked has been told, in full
	}
	fmt.Fprintf(con.Err, "viaduct: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(con.Err, "Run '%s --help' for what it takes.\n", usage.command)
		return exitUsage
	}
	return exitError
}

func sinceStart(con console) time.Duration { return time.Since(con.Started) }

// tuneGC makes the component that keeps this process's memory small.
func tuneGC(log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: "memory", Run: func(ctx context.Context) error { return gctuner.Run(ctx, log) }}
}
