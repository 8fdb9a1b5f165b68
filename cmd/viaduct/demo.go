package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"viaduct/internal/apiserver"
)

func newDemo(con console, logs *logOptions) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A guided tour: Services, Endpoints and Pods in a temporary directory",
		Long: `Brings everything up in a temporary directory, as any user, and walks through what a Service is: Pods behind it,
addresses written by hand, a Pod that stops being ready, the variables a container is given. Every claim is checked; if one
is not so, it ends with code 1. It removes what it made.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			return runDemo(ctx, con, keep, logs.start(con.Err))
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave everything running after the tour, until interrupted")
	return cmd
}

// runDemo runs `up` as its own command would, walks the tour beside it, and removes everything.
func runDemo(ctx context.Context, con console, keep bool, log *slog.Logger) (err error) {
	dataDir, err := os.MkdirTemp("", "viaduct-demo-")
	if err != nil {
		return fmt.Errorf("making a place for the demo: %w", err)
	}
	defer func() {
		if gone := os.RemoveAll(dataDir); gone != nil {
			err = errors.Join(err, fmt.Errorf("removing %s: %w", dataDir, gone))
		}
	}()
	ground, err := claimGround()
	if err != nil {
		return fmt.Errorf("finding free addresses: %w", err)
	}
	defer ground.release()
	d := &demo{con: con, dataDir: dataDir, keep: keep, log: log, options: upOptions{
		server: serverOptions{dataDir: dataDir, listen: "127.0.0.1:0", serviceCIDRs: []netip.Prefix{ground.services}},
		proxy:  proxyOptions{mode: proxyAuto},
		agent:  agentOptions{podCIDRs: []netip.Prefix{ground.pods}, runtime: runtimeProcess},
	}}
	return d.run(ctx)
}

// demo is one tour and the `up` it walks through.
type demo struct {
	con     console
	dataDir string
	keep    bool
	log     *slog.Logger
	options upOptions
}

func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	narration := &muted{to: d.con.Out}
	ready, ended := make(chan *apiserver.Server, 1), make(chan error, 1)
	t := newTour(d.con.Out, d.dataDir)
	t.begin()
	go func() {
		ended <- up(ctx, console{In: d.con.In, Out: narration, Err: d.con.Err, Started: d.con.Started}, d.options, d.log,
			func(s *apiserver.Server) { ready <- s })
	}()
	var server *apiserver.Server
	select {
	case err := <-ended:
		return errors.Join(err, ctx.Err())
	case server = <-ready:
	}
	result := make(chan error, 1)
	go func() { result <- d.walk(ctx, t, server, narration) }()
	select {
	case err := <-ended: // it failed beside the tour
		cancel()
		<-result
		return err
	case err := <-result:
		end := t.end(func() error { cancel(); return <-ended })
		if err = errors.Join(err, end); err == nil {
			t.goodbye()
		}
		return err
	}
}

// walk takes the tour, and with --keep stays until ctx ends.
func (d *demo) walk(ctx context.Context, t *tour, server *apiserver.Server, narration *muted) error {
	defer t.closeServers()
	client, err := clientAs(server, apiserver.UserAdmin, "viaduct-demo")
	if err != nil {
		return err
	}
	if err := t.walk(ctx, client, server.URL()); err != nil {
		return err
	}
	if d.keep {
		t.stay()
		narration.on.Store(true)
		<-ctx.Done()
	}
	return nil
}

// muted is a writer that forgets what is written until it is on.
type muted struct {
	to io.Writer
	on atomic.Bool
}

func (m *muted) Write(p []byte) (int, error) {
	if !m.on.Load() {
		return len(p), nil
	}
	return m.to.Write(p)
}
