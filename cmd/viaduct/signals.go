package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// onSignal returns a context that ends at the first SIGINT, SIGTERM or SIGHUP. At the second one, the process exits at
// once with code 130, and the next start cleans up.
func onSignal(parent context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			fmt.Fprintf(out, "\n%s: stopping; send it again to exit at once\n", s)
			cancel()
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-parent.Done():
		}
	}()
	return ctx, cancel
}
