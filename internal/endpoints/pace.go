package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// lull is how long a storm of changes must have paused to count as over.
	lull = 10 * time.Millisecond
	// longest is how long a change waits at most for others to be written with.
	longest = 100 * time.Millisecond
)

// pace decides when the changes of one Service are written: the first one after quiet at once, and those of a storm together. A storm is
// when changes come faster than they are written, so that two or more are waiting; it ends with a write that has but one to tell.
//
// Of a large Service each write costs thousands of bytes for every watcher: many changes of it are to be few writes, and still no change is
// to wait for a fixed time. It is pure: the time comes from outside.
type pace struct {
	waiting     int // changes that are not written
	first, last time.Time
	storm       bool
	trigger     time.Time // when the first of what is waiting happened, as far as it tells; zero: none does
}

// change takes note of a change that is seen now and happened at trigger, if that is known.
func (p *pace) change(now, trigger time.Time) {
	if p.waiting == 0 {
		p.first = now
	}
	p.waiting++
	p.last = now
	p.cause(trigger)
}

func (p *pace) cause(trigger time.Time) {
	if p.trigger.IsZero() || !trigger.IsZero() && trigger.Before(p.trigger) {
		p.trigger = trigger
	}
}

// due is how long to wait before a write; 0 is not at all.
func (p *pace) due(now time.Time) time.Duration {
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
	trigger time.Time // see pace
}

// take says that what is waiting is written now.
func (p *pace) take() batch {
	b := batch{p.waiting, p.trigger}
	p.waiting, p.trigger = 0, time.Time{}
	if b.changes > 0 {
		p.storm = b.changes > 1
	}
	return b
}

// idle says that nothing is lost if p is forgotten.
func (p *pace) idle() bool { return p.waiting == 0 && !p.storm && p.trigger.IsZero() }

// paces holds those of all Services that are not idle.
type paces struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]*pace
}

func newPaces() *paces { return &paces{byKey: map[types.NamespacedName]*pace{}} }

func (p *paces) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.byKey)
}

func (p *paces) change(key types.NamespacedName, now, trigger time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key).change(now, trigger)
}

// of is the pace of a Service; p.mu is held.
func (p *paces) of(key types.NamespacedName) *pace {
	if p.byKey[key] == nil {
		p.byKey[key] = &pace{}
	}
	return p.byKey[key]
}

// failed says that a batch was not written: whenever it is, it still happened then.
func (p *paces) failed(key types.NamespacedName, b batch) {
	if b.trigger.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(key).cause(b.trigger)
}

func (p *paces) due(key types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.byKey[key]; one != nil {
		return one.due(now)
	}
	return 0
}

func (p *paces) take(key types.NamespacedName) batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byKey[key]
	if one == nil {
		return batch{}
	}
	b := one.take()
	if one.idle() {
		delete(p.byKey, key)
	}
	return b
}
