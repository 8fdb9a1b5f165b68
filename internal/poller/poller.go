// Package poller polls targets on behalf of owners: it keeps one state per target, polls each target when it is due,
// and reports changes of the state to every owner. It does not know what a target is, how it is polled, or what a state
// means: healthcheck and resolver say so.
package poller

import (
	"container/heap"
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a Poller of targets T, wanted by owners O, with a state S for each target.
type Options[O, T comparable, S any] struct {
	// Concurrency is how many polls may be in flight; it must be positive. Targets that are due wait for a free place.
	Concurrency int
	// Poll starts to poll one target. It must not block: it returns either the result or, in later, a function that waits
	// for the result and runs in a goroutine of its own. Poll and later may read p.State.
	Poll func(ctx context.Context, p Poll[T, S]) (result Update[S], later func(ctx context.Context) Update[S])
	// Changed reports the new state of a target to its owners. Changes of one target are reported one at a time and in
	// order: the target is not polled again before Changed returns. Changed may call every method of the Poller.
	Changed func(owners []O, target T, state S)
}

// A Poll is one attempt to learn about a target.
type Poll[T comparable, S any] struct {
	Target T
	State  *S        // read-only; nothing else writes it during the poll
	Due    time.Time // when the poll was planned
	Began  time.Time // when it began, at or after Due
}

// An Update applies the result of a poll to the state. It returns when the target is due next, and whether the owners
// are told. It is called with the Poller's lock held: it may call Len, and no other method of the Poller.
type Update[S any] func(state *S) (due time.Time, changed bool)

// A Poller polls the targets given to Set while Run runs. Make it with New. Its methods may be called concurrently.
type Poller[O, T comparable, S any] struct {
	opts  Options[O, T, S]
	wake  chan struct{}
	count atomic.Int64 // of entries

	mu       sync.Mutex // protects the following
	entries  map[T]*entry[O, T, S]
	targets  map[O]map[T]bool
	due      queue[O, T, S]
	inFlight int
	next     time.Time // when Run looks at the queue next
}

// entry is one target.
type entry[O, T comparable, S any] struct {
	target  T
	state   S
	owners  map[O]bool
	due     time.Time
	index   int // in the queue; -1 while a poll is in flight
	dropped bool
}

// New returns a Poller without targets. Run starts it.
func New[O, T comparable, S any](opts Options[O, T, S]) *Poller[O, T, S] {
	return &Poller[O, T, S]{opts: opts, wake: make(chan struct{}, 1), entries: map[T]*entry[O, T, S]{},
		targets: map[O]map[T]bool{}}
}

// Set replaces the targets of owner; no targets remove the owner. begin is called, with the lock held, for each target
// that had no owner before. It returns the first state of the target and when it is due first.
func (p *Poller[O, T, S]) Set(owner O, targets iter.Seq[T], begin func(target T) (state S, due time.Time)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[T]bool{}
	for t := range targets {
		wanted[t] = true
		p.add(owner, t, begin)
	}
	for t := range p.targets[owner] {
		if !wanted[t] {
			p.drop(owner, t)
		}
	}
	if p.targets[owner] = wanted; len(wanted) == 0 {
		delete(p.targets, owner)
	}
	if len(p.due) > 0 && p.due[0].due.Before(p.next) {
		p.wakeUp()
	}
}

// add is called with p.mu held.
func (p *Poller[O, T, S]) add(owner O, t T, begin func(T) (S, time.Time)) {
	e := p.entries[t]
	if e == nil {
		e = &entry[O, T, S]{target: t, owners: map[O]bool{}}
		e.state, e.due = begin(t)
		p.entries[t] = e
		p.count.Add(1)
		heap.Push(&p.due, e)
	}
	e.owners[owner] = true
}

// drop is called with p.mu held.
func (p *Poller[O, T, S]) drop(owner O, t T) {
	e := p.entries[t]
	if delete(e.owners, owner); len(e.owners) > 0 {
		return
	}
	e.dropped = true
	delete(p.entries, t)
	p.count.Add(-1)
	if e.index >= 0 {
		heap.Remove(&p.due, e.index)
	}
}

// Len returns the number of targets.
func (p *Poller[O, T, S]) Len() int { return int(p.count.Load()) }

// State returns a copy of the state of a target; ok is false if no owner wants the target.
func (p *Poller[O, T, S]) State(t T) (state S, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[t]
	if e == nil {
		return state, false
	}
	return e.state, true
}

// All returns the targets and their states, in no order. The lock is held during the iteration: the loop must not call
// methods of the Poller.
func (p *Poller[O, T, S]) All() iter.Seq2[T, S] {
	return func(yield func(T, S) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for t, e := range p.entries {
			if !yield(t, e.state) {
				return
			}
		}
	}
}

// Run polls until ctx ends, and returns nil once no poll is in flight. It may be called again after that. Results of
// polls that end after ctx are discarded.
func (p *Poller[O, T, S]) Run(ctx context.Context) error {
	var polls sync.WaitGroup
	defer polls.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(p.start(ctx, &polls))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.wake:
		}
	}
	return nil
}

const (
	// idle is how long Run sleeps without a target; Set wakes it.
	idle = time.Hour
	// batchInterval is the least time between two looks at the queue. Polls that become due within it start together,
	// which costs a fraction of as many single starts.
	batchInterval = 10 * time.Millisecond
)

// start starts the polls that are due, and returns how long to sleep.
func (p *Poller[O, T, S]) start(ctx context.Context, polls *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := idle
	var batch []*entry[O, T, S]
	for now := time.Now(); len(p.due) > 0 && p.inFlight < p.opts.Concurrency; {
		first := p.due[0]
		if first.due.After(now) {
			wait = max(first.due.Sub(now), batchInterval)
			break
		}
		heap.Pop(&p.due)
		p.inFlight++
		batch = append(batch, first)
	}
	if len(batch) > 0 {
		polls.Go(func() { p.pollAll(ctx, batch, polls) })
	}
	p.next = time.Now().Add(wait)
	return wait
}

// pollAll starts the polls of a batch. Results that are there at once are taken in the same goroutine.
func (p *Poller[O, T, S]) pollAll(ctx context.Context, batch []*entry[O, T, S], polls *sync.WaitGroup) {
	for _, e := range batch {
		result, later := p.opts.Poll(ctx, Poll[T, S]{Target: e.target, State: &e.state, Due: e.due, Began: time.Now()})
		if later == nil {
			p.finish(ctx, e, result)
			continue
		}
		polls.Go(func() { p.finish(ctx, e, later(ctx)) })
	}
}

// finish applies the result of a poll, reports a change, and queues the next poll.
func (p *Poller[O, T, S]) finish(ctx context.Context, e *entry[O, T, S], result Update[S]) {
	if ctx.Err() == nil { // otherwise the end of ctx may be the result
		if owners, state := p.apply(e, result); len(owners) > 0 {
			p.opts.Changed(owners, e.target, state)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if !e.dropped {
		heap.Push(&p.due, e)
	}
	if len(p.due) > 0 && p.due[0].due.Before(p.next) && (p.due[0] == e || p.inFlight == p.opts.Concurrency-1) {
		p.wakeUp()
	}
}

// apply returns the owners to report a change to; none if there is no change or no owner is left.
func (p *Poller[O, T, S]) apply(e *entry[O, T, S], result Update[S]) (owners []O, state S) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.dropped {
		return nil, state
	}
	var changed bool
	if e.due, changed = result(&e.state); !changed {
		return nil, state
	}
	for o := range e.owners {
		owners = append(owners, o)
	}
	return owners, e.state
}

// wakeUp makes Run look at the queue.
func (p *Poller[O, T, S]) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
