package endpoints

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// errStale says that the cache does not show a write of our own yet: acting on it would undo or repeat that write.
var errStale = errors.New("the cache is behind our own writes")

const (
	// staleRetry is when a key whose cache was behind is looked at again if no event came.
	staleRetry = 100 * time.Millisecond
	// expectationLife is how long the cache is given to show a write. Past that it never will: somebody undid it
	// meanwhile. Being wrong costs little: what is written on a stale state is refused as a conflict, and a slice too many
	// is folded into the others.
	expectationLife = time.Second
)

// object names one written object: the kind and its name.
type object struct{ kind, name string }

// expectation is a write of ours that the cache has not shown yet. Versions are resourceVersions; "" is the state of
// not being there.
type expectation struct {
	superseded string // what the write has ended: while the cache shows it, the cache is behind
	written    string // what it made of it
	expires    time.Time
}

// echoes are what is known of the objects of one Service: what our writes made of them, and what events made known of
// them.
type echoes struct {
	writes map[object]expectation
	heard  map[object]string // versions that no write of ours is known to have made
}

// expectations remember, for each Service, what its cached objects should no longer look like, and tell the echo of a
// write of our own from what somebody else did: only that is a reason to look again.
type expectations struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]*echoes
}

func newExpectations() *expectations {
	return &expectations{byKey: map[types.NamespacedName]*echoes{}}
}

// of are the echoes of a Service; e.mu is held.
func (e *expectations) of(key types.NamespacedName) *echoes {
	if e.byKey[key] == nil {
		e.byKey[key] = &echoes{map[object]expectation{}, map[object]string{}}
	}
	return e.byKey[key]
}

// drop forgets what has nothing in it; e.mu is held.
func (e *expectations) drop(key types.NamespacedName) {
	if o := e.byKey[key]; o != nil && len(o.writes)+len(o.heard) == 0 {
		delete(e.byKey, key)
	}
}

// wrote records that what had version superseded and has version written by now.
func (e *expectations) wrote(key types.NamespacedName, what object, superseded, written string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.of(key)
	// the event was faster than the answer, and the cache has it
	if version, ok := o.heard[what]; ok && version == written {
		delete(o.heard, what)
		e.drop(key)
		return
	}
	o.writes[what] = expectation{superseded, written, time.Now().Add(expectationLife)}
}

// hear records an event: the cache shows a version of what.
func (e *expectations) hear(key types.NamespacedName, what object, version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.of(key)
	if x, ok := o.writes[what]; ok && x.written == version && time.Now().Before(x.expires) {
		delete(o.writes, what)
		e.drop(key)
		return
	}
	o.heard[what] = version
}

// foreign says whether anything was heard that is not known as an echo, and takes it for told. It is to be asked while
// no write is under way, for the answer of a write may come after its event.
func (e *expectations) foreign(key types.NamespacedName) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.byKey[key]
	if o == nil || len(o.heard) == 0 {
		return false
	}
	clear(o.heard)
	e.drop(key)
	return true
}

// stale says whether the cache, asked for an object's version, shows any state that has ended.
func (e *expectations) stale(key types.NamespacedName, cached func(object) string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byKey[key] == nil {
		return false
	}
	behind := false
	for what, x := range e.byKey[key].writes {
		if !time.Now().Before(x.expires) {
			delete(e.byKey[key].writes, what)
		} else if cached(what) == x.superseded {
			behind = true
		}
	}
	e.drop(key)
	return behind
}
