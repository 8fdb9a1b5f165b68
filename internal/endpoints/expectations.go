package endpoints

import (
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// errStale means that the cache does not contain our last write yet. A sync with this cache would undo or repeat that
// write.
var errStale = errors.New("the cache is behind our own writes")

const (
	// staleRetry is the time after which a Service with a stale cache is synced again if no event came.
	staleRetry = 100 * time.Millisecond
	// expectationLife is how long the cache may take to show a write. After this time the cache will not show it any more,
	// because another client has overwritten it. A wrong guess costs little: the API server refuses a write based on a
	// stale state as a conflict, and a superfluous slice is merged into the others.
	expectationLife = time.Second
)

// object identifies one written object by kind and name.
type object struct{ kind, name string }

// expectation is a write of ours that the cache does not show yet. Versions are resourceVersions; "" means that the
// object does not exist.
type expectation struct {
	superseded string // the version before the write: the cache is stale while it shows this version
	written    string // the version after the write
	expires    time.Time
}

// echoes hold what is known of the objects of one Service: the versions from our writes, and the versions from events.
// An echo is the event that our own write causes.
type echoes struct {
	writes map[object]expectation
	heard  map[object]string // versions from events that are not known to be ours
}

// expectations remember, for each Service, the object versions that the cache should no longer show. They also
// distinguish the echo of our own write from a write of another client: only the latter is a reason for a sync.
type expectations struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]*echoes
}

func newExpectations() *expectations {
	return &expectations{byKey: map[types.NamespacedName]*echoes{}}
}

// of returns the echoes of a Service; e.mu is held.
func (e *expectations) of(key types.NamespacedName) *echoes {
	if e.byKey[key] == nil {
		e.byKey[key] = &echoes{map[object]expectation{}, map[object]string{}}
	}
	return e.byKey[key]
}

// drop deletes the echoes of a Service if they are empty; e.mu is held.
func (e *expectations) drop(key types.NamespacedName) {
	if o := e.byKey[key]; o != nil && len(o.writes)+len(o.heard) == 0 {
		delete(e.byKey, key)
	}
}

// wrote records a write of ours: it changed the object what from version superseded to version written.
func (e *expectations) wrote(key types.NamespacedName, what object, superseded, written string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.of(key)
	// The event came before the response of the write, and the cache has the new version.
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

// foreign says whether there was an event that is not known to be an echo, and clears these events. Call it only while
// no write is in progress, because the response of a write may come after its event.
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

// stale says whether the cache still shows a superseded version of any object. cached returns the version in the cache.
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
