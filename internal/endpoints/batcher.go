package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// lull is the pause between changes after which a storm counts as over.
	lull = 10 * time.Millisecond
	// longest is the maximum time that a change waits to be written together with others. A Service without a change for
	// this time is quiet.
	longest = 100 * time.Millisecond
)

// debounce decides when the changes of one Service are written: the first change after a quiet time is written at once,
// and the changes of a storm are written together. A storm begins when changes come faster than they are written, so
// that two or more are waiting. It ends with a write of a single change, or with a quiet time.
//
// Each write of a large Service costs thousands of bytes for every watcher. So many changes should become few writes,
// but no change should wait for a fixed time. debounce is pure: the caller passes the time.
type debounce struct {
	waiting     int // the number of changes that are not written
	first, last time.Time
	storm       bool
	look        bool      // a sync is wanted, though no change of the endpoints is known
	trigger     time.Time // the time of the first waiting change, as far as changes have a time; zero: none has
}

// change records a change that is seen now and happened at trigger, if that is known.
func (p *debounce) change(now, trigger time.Time) {
	if p.waiting == 0 {
		p.first = now
		p.storm = p.storm && now.Sub(p.last) < longest
	}
	p.waiting++
	p.last = now
	p.cause(trigger)
}

func (p *debounce) cause(trigger time.Time) {
	if p.trigger.IsZero() || !trigger.IsZero() && trigger.Before(p.trigger) {
		p.trigger = trigger
	}
}

// due returns how long to wait before a write; 0: do not wait.
func (p *debounce) due(now time.Time) time.Duration {
	if p.waiting == 0 || p.waiting == 1 && !p.storm {
		return 0
	}
	at := p.last.Add(lull)
	if latest := p.first.Add(longest); latest.Before(at) {
		at = latest
	}
	return max(0, at.Sub(now))
}

// batch is the changes that one write contains.
type batch struct {
	changes int
	trigger time.Time // see debounce
}

// take marks all waiting changes as written now, and returns them.
func (p *debounce) take() batch {
	b := batch{p.waiting, p.trigger}
	p.waiting, p.look, p.trigger = 0, false, time.Time{}
	if b.changes > 0 {
		p.storm = b.changes > 1
	}
	return b
}

// wanted says whether the Service needs a sync.
func (p *debounce) wanted() bool { return p.waiting > 0 || p.look }

// idle says that no information is lost if p is deleted.
func (p *debounce) idle() bool { return !p.wanted() && !p.storm }

// batcher holds the debounce of every Service for which it is not idle.
type batcher struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]*debounce
}

func newBatcher() *batcher { return &batcher{byKey: map[types.NamespacedName]*debounce{}} }

func (p *batcher) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.byKey)
}

func (p *batcher) change(key types.NamespacedName, now, trigger time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key).change(now, trigger)
}

// of returns the debounce of a Service; p.mu is held.
func (p *batcher) of(key types.NamespacedName) *debounce {
	if p.byKey[key] == nil {
		p.byKey[key] = &debounce{}
	}
	return p.byKey[key]
}

// look requests a sync of a Service without delay: another client may have changed an object that was written for it.
func (p *batcher) look(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key).look = true
}

// failed records that a batch was not written. The Service needs another sync, and the batch keeps its trigger time.
func (p *batcher) failed(key types.NamespacedName, b batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of(key)
	one.look = true
	one.cause(b.trigger)
}

// forget records that a Service no longer exists. Its waiting changes are still written, but its storm is over.
func (p *batcher) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.byKey[key]; one != nil {
		one.storm = false
		p.drop(key)
	}
}

// drop deletes the debounce of a Service if it is idle; p.mu is held.
func (p *batcher) drop(key types.NamespacedName) {
	if p.byKey[key].idle() {
		delete(p.byKey, key)
	}
}

// due returns how long to wait before the sync of a Service; false if it needs none.
func (p *batcher) due(key types.NamespacedName, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.byKey[key]; one != nil {
		return one.due(now), one.wanted()
	}
	return 0, false
}

func (p *batcher) take(key types.NamespacedName) batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[key] == nil {
		return batch{}
	}
	b := p.byKey[key].take()
	p.drop(key)
	return b
}
