package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// initialSync counts the Services that still need their first sync after the controller began to work.
type initialSync struct {
	mu     sync.Mutex // protects the following
	left   map[types.NamespacedName]bool
	began  time.Time
	result initialResult
}

// initialResult is the cost of the first sync of all Services.
type initialResult struct {
	services, writes int
	time             time.Duration
}

func (s *initialSync) begin(now time.Time, keys map[types.NamespacedName]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.began, s.result = keys, now, initialResult{services: len(keys)}
}

// wrote counts a write. Only the count at the end of the first sync is used.
func (s *initialSync) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.writes++
}

// done records the first sync of a Service, and says whether this was the last Service without one.
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
