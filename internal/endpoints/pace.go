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
}

func (p *pace) change(now time.Time) {
	if p.waiting == 0 {
		p.first = now
	}
	p.waiting++
	p.last = now
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

// take says that what is waiting is written now, and how many changes that are.
func (p *pace) take() (merged int) {
	merged, p.waiting = p.waiting, 0
	if merged > 0 {
		p.storm = merged > 1
	}
	return merged
}

// idle says that nothing is lost if p is forgotten.
func (p *pace) idle() bool { return p.waiting == 0 && !p.storm }

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

func (p *paces) change(key types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[key] == nil {
		p.byKey[key] = &pace{}
	}
	p.byKey[key].change(now)
}

func (p *paces) due(key types.NamespacedName, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.byKey[key]; one != nil {
		return one.due(now)
	}
	return 0
}

func (p *paces) take(key types.NamespacedName) (merged int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byKey[key]
	if one == nil {
		return 0
	}
	merged = one.take()
	if one.idle() {
		delete(p.byKey, key)
	}
	return merged
}
