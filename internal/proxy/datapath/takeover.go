package datapath

import (
	"context"
	"errors"

	"viaduct/internal/proxy/takeover"
	"viaduct/internal/routing"
)

// A TakeOver removes kube-proxy's rules once this host's kernel carries every Service for Viaduct.
type TakeOver struct {
	backend *Backend
	live    chan struct{} // closed after the first complete Sync; by the goroutine that calls Applied
	closed  bool
}

// NewTakeOver returns a TakeOver for a Backend.
func NewTakeOver(b *Backend) *TakeOver { return &TakeOver{backend: b, live: make(chan struct{})} }

// Applied must be called after each Sync, by the same goroutine. The rules stay until a Sync was complete, because a
// Service that Viaduct does not carry yet needs kube-proxy's rules.
func (t *TakeOver) Applied([]routing.Name) {
	if t.backend.complete && !t.closed {
		t.closed = true
		close(t.live)
	}
}

// Run waits for the first complete Sync, removes kube-proxy's rules, and returns when ctx ends. It returns an error if
// this process carries the connections, because kube-proxy's rules would then still be needed or be in the way.
func (t *TakeOver) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-t.live:
	}
	if t.backend.ActiveMode() == Userspace {
		return errors.New("kube-proxy's rules stay, because this process carries connections and not the kernel")
	}
	takeover.Finish(ctx, t.backend.Log)
	<-ctx.Done()
	return nil
}
