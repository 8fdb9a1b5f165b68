package endpoints

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// failures hold the last error of every Service whose last sync failed.
type failures struct {
	mu    sync.Mutex // protects byKey
	byKey map[types.NamespacedName]string
}

func newFailures() *failures { return &failures{byKey: map[types.NamespacedName]string{}} }

// note stores the result of a sync.
func (f *failures) note(key types.NamespacedName, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.byKey, key)
		return
	}
	f.byKey[key] = err.Error()
}

func (f *failures) of(key types.NamespacedName) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byKey[key]
}
