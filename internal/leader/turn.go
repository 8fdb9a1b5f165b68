package leader

import (
	"context"
	"errors"
	"sync"
)

// turn is the work of one term: it is begun once at most, and not after the term was told to end.
type turn struct {
	mu     sync.Mutex // protects the following
	begun  bool
	closed bool
	err    error
	done   sync.WaitGroup
}

// work does work until ctx or held ends, and then ends the election.
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
		err = errors.New("the work ended by itself")
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

// stop ends the election, unless there is work: that ends it itself, in its time.
func (t *turn) stop(end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if !t.begun {
		end()
	}
}

// retire ends an election that has come to nothing yet.
func (t *turn) retire(end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		t.closed = true
		end()
	}
}

// wait returns once the work, if it was ever begun, has ended, with its error.
func (t *turn) wait() (begun bool, err error) {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.done.Wait()
	return t.begun, t.err
}
