package leader

import (
	"context"
	"errors"
	"sync"
)

// A turn is the work of one term. It begins at most once, and not after the term has been stopped.
type turn struct {
	mu     sync.Mutex // guards the following
	begun  bool
	closed bool
	err    error
	done   sync.WaitGroup
}

// work calls work until ctx or held ends, and then ends the election.
func (t *turn) work(ctx, held context.Context, end func(), work func(context.Context) error) {
	defer end()
	if !t.begin() {
		return
	}
	defer t.done.Done()
	both, cancel := context.WithCancel(held)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	err := work(both)
	if err == nil && both.Err() == nil {
		err = errors.New("the work returned although the lease is held")
	}
	if both.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func (t *turn) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.begun = true
	t.done.Add(1)
	return true
}

// stop ends the election, unless work has begun: then the election ends when work returns.
func (t *turn) stop(end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if !t.begun {
		end()
	}
}

// retire ends an election in which no work has begun.
func (t *turn) retire(end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		t.closed = true
		end()
	}
}

// wait waits until the work has returned, if it has begun, and gives its error.
func (t *turn) wait() (begun bool, err error) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.done.Wait()
	return t.begun, t.err
}
