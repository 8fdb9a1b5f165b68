// Package demo is a guided tour of a Kubernetes Service. It starts all of Viaduct in a temporary directory, applies
// examples/quickstart, sends requests, and checks every claim that it prints. It removes everything that it made.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"k8s.io/client-go/kubernetes"

	"viaduct/internal/addressrange"
)

// Options say how the demo runs.
type Options struct {
	Out  io.Writer
	Keep bool // after the tour, leave everything running until the context ends
	// Up runs all of Viaduct until its context ends, as `viaduct up` does.
	Up func(context.Context, Environment) error
}

// An Environment is what the demo gives to Options.Up.
type Environment struct {
	DataDir   string
	Addresses *addressrange.Reservation
	Out       io.Writer
	// Ready is called once, when the API answers at url. client has the rights of an administrator.
	Ready func(client kubernetes.Interface, url string)
}

// Run takes the tour. It returns an error if Viaduct fails, if a claim of the tour is not true, or if something is left
// after the end.
func Run(ctx context.Context, o Options) (err error) {
	dataDir, err := os.MkdirTemp("", "viaduct-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's directory: %w", err)
	}
	defer func() {
		if failed := os.RemoveAll(dataDir); failed != nil {
			err = errors.Join(err, fmt.Errorf("removing %s: %w", dataDir, failed))
		}
	}()
	addresses, err := addressrange.Reserve(16, 95)
	if err != nil {
		return fmt.Errorf("finding free addresses: %w", err)
	}
	defer addresses.Release()
	return run(ctx, o, Environment{DataDir: dataDir, Addresses: addresses})
}

// An api is what Options.Up reports when it is ready.
type api struct {
	client kubernetes.Interface
	url    string
}

func run(ctx context.Context, o Options, env Environment) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	narration := &mutedWriter{to: o.Out}
	ready, ended := make(chan api, 1), make(chan error, 1)
	env.Out, env.Ready = narration, func(c kubernetes.Interface, url string) { ready <- api{c, url} }
	t := newTour(o.Out, env.DataDir)
	t.begin()
	go func() { ended <- o.Up(ctx, env) }()
	var server api
	select {
	case err := <-ended:
		return errors.Join(err, ctx.Err())
	case server = <-ready:
	}
	result := make(chan error, 1)
	go func() { result <- t.walkAndStay(ctx, server, o.Keep, narration) }()
	select {
	case err := <-ended: // Viaduct failed during the tour
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

// walkAndStay takes the tour. With keep it then prints the narration until ctx ends.
func (t *tour) walkAndStay(ctx context.Context, server api, keep bool, narration *mutedWriter) error {
	defer t.stopExternalServers()
	if err := t.walk(ctx, server.client, server.url); err != nil {
		return err
	}
	if keep {
		t.stay()
		narration.on.Store(true)
		<-ctx.Done()
	}
	return nil
}

// A mutedWriter drops what is written until it is on.
type mutedWriter struct {
	to io.Writer
	on atomic.Bool
}

func (m *mutedWriter) Write(p []byte) (int, error) {
	if !m.on.Load() {
		return len(p), nil
	}
	return m.to.Write(p)
}
