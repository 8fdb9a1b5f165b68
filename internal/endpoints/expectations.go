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
	// expectationLife is how long the cache is given to show a write. Past that it never will: somebody undid it meanwhile. Being wrong
	// costs little: what is written on a stale state is refused as a conflict, and a slice too many is folded into the others.
	expectationLife = time.Second
)

// object names one written object: the kind and its name.
type object struct{ kind, name string }

// expectation is a state that a write of ours has ended: while the cache shows it, the cache is behind.
type expectation struct {
	superseded string // resourceVersion; "" is the state of not being there
	expires    time.Time
}

// expectations remember, for each Service, what its cached objects should no longer look like.
type expectations struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]map[object]expectation
}

func newExpectations() *expectations {
	return &expectations{byKey: map[types.NamespacedName]map[object]expectation{}}
}

// wrote records that what had resourceVersion superseded ("" if it was created) has been written since.
func (e *expectations) wrote(key types.NamespacedName, what object, superseded string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byKey[key] == nil {
		e.byKey[key] = map[object]expectation{}
	}
	e.byKey[key][what] = expectation{superseded, time.Now().Add(expectationLife)}
}

// stale says whether the cache, asked for an object's resourceVersion ("" if it has none), shows any state that has ended. What it
// shows as expected is forgotten.
func (e *expectations) stale(key types.NamespacedName, cached func(object) string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	behind := false
	for what, x := range e.byKey[key] {
		if cached(what) == x.superseded && time.Now().Before(x.expires) {
			behind = true
			continue
		}
		delete(e.byKey[key], what)
	}
	if len(e.byKey[key]) == 0 {
		delete(e.byKey, key)
	}
	return behind
}
