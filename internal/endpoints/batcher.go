package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// lull is how long a storm of changes must have paused to count as over.
	lull = 10 * time.Millisecond
	// longest is how long a change waits at most for others to be written with. A Service without a change for as long is
	// quiet.
	longest = 100 * time.Millisecond
)

// debounce decides when the changes of one Service are written: the first one after quiet at once, and those of a storm
// together. A storm is when changes come faster than they are written, so that two or more are waiting; it ends with a
// write that has but one to tell, or with quiet.
//
// Of a large Service each write costs thousands of bytes for every watcher: many changes of it are to be few writes,
// and still no change is to wait for a fixed time. It is pure: the time comes from outside.
type debounce struct {
	waiting     int // changes that are not written
	first, last time.Time
	storm       bool
	look        bool      // the Service is to be looked at, though nothing behind it is known to have changed
	trigger     time.Time // when the first of what is waiting happened, as far as it tells; zero: none does
}

// change takes note of a change that is seen now and happened at trigger, if that is known.
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

// due is how long to wait before a write; 0 is not at all.
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

// batch is what one write tells.
type batch struct {
	changes int
	trigger time.Time // see debounce
}

// take says that what is waiting is written now.
func (p *debounce) take() batch {
	b := batch{p.waiting, p.trigger}
	p.waiting, p.look, p.trigger = 0, false, time.Time{}
	if b.changes > 0 {
		p.storm = b.changes > 1
	}
	return b
}

// wanted says whether there is any reason to look at the Service.
func (p *debounce) wanted() bool { return p.waiting > 0 || p.look }

// idle says that nothing is lost if p is forgotten.
func (p *debounce) idle() bool { return !p.wanted() && !p.storm }

// batcher holds those of all Services that are not idle.
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

// of is the debounce of a Service; p.mu is held.
func (p *batcher) of(key types.NamespacedName) *debounce {
	if p.byKey[key] == nil {
		p.byKey[key] = &debounce{}
	}
	return p.byKey[key]
}

// look says that a Service is to be looked at, at once: what was written for it may have been changed.
func (p *batcher) look(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key).look = true
}

// failed says that a batch was not written: it is still to be, and whenever it is, it still happened then.
func (p *batcher) failed(key types.NamespacedName, b batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of(key)
	one.look = true
	one.cause(b.trigger)
}

// forget says that there is no such Service any more: what is still to be told of it will be, but its storm is over.
func (p *batcher) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.byKey[key]; one != nil {
		one.storm = false
		p.drop(key)
	}
}

// drop forgets the debounce of a Service if it is idle; p.mu is held.
func (p *batcher) drop(key types.NamespacedName) {
	if p.byKey[key].idle() {
		delete(p.byKey, key)
	}
}

// due is how long to wait before a Service is looked at; false if there is no reason to.
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
