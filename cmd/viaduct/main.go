// Command viaduct is all of Viaduct in one binary: an API server, the controllers, the service proxy, a node agent, and
// kubectl. This package has the flags, the wiring and the printing. Decisions belong to the packages under internal/.
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
	exitInterrupted = 130 // as a shell reports a program that SIGINT ended
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Started: time.Now()}))
}

// A console is the input and the outputs of a command, and its start time.
type console struct {
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Started time.Time // "ready in N ms" is counted from here
}

// run executes one command line and returns its exit code: 0, 1 for an error, or 2 for a wrong command line.
func run(ctx context.Context, args []string, con console) int {
	root := newRoot(con)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errUnhealthy) {
		return exitError // the report has been printed
	}
	fmt.Fprintf(con.Err, "viaduct: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(con.Err, "Run '%s --help' for its flags.\n", usage.command)
		return exitUsage
	}
	return exitError
}

func sinceStart(con console) time.Duration { return time.Since(con.Started) }

// tuneGC makes the component that keeps this process's memory small.
func tuneGC(log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: "memory", Run: func(ctx context.Context) error { return gctuner.Run(ctx, log) }}
}
