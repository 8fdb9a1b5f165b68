package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// initialSync counts down the Services that are to be synced when the controller begins to work.
type initialSync struct {
	mu     sync.Mutex // protects the following
	left   map[types.NamespacedName]bool
	began  time.Time
	result initialResult
}

// initialResult is what the first sync of everything took.
type initialResult struct {
	services, writes int
	time             time.Duration
}

func (s *initialSync) begin(now time.Time, keys map[types.NamespacedName]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.began, s.result = keys, now, initialResult{services: len(keys)}
}

// wrote counts a write, while the first sync lasts.
func (s *initialSync) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.writes++
}

// done says that a Service is as it should be, and whether it was the last one that had not been.
func (s *initialSync) done(key types.NamespacedName, now time.Time) (initialResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left[key] {
		return initialResult{}, false
	}
	delete(s.left, key)
	s.result.time = now.Sub(s.began)
	return s.result, len(s.left) == 0
}
